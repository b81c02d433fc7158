"""Search the best LSTM for cleaning ECG and the best GRU for finding R peaks, report, and use them.

The command line: it parses, calls and shows. Keras and TensorFlow are imported only inside the verbs that need them.
"""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Callable

from ecg_study.cli.commands import VERBS
from ecg_study.cli.console import report_error
from ecg_study.cli.parser import build_parser
from ecg_study.errors import EcgStudyError
from ecg_study.workflows.settings import Settings, settings_from

_INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run one verb. Returns the exit code: 0, 2 for what the user can mend, 130 after Ctrl-C."""
    options = build_parser(__doc__ or "", VERBS).parse_args(arguments)
    try:
        settings = settings_from(options)
        verb: Callable[[argparse.Namespace, Settings], int] = options.verb
        return verb(options, settings)
    except EcgStudyError as error:
        return report_error(str(error))
    except OSError as error:
        return report_error(_disk_error(error))
    except KeyboardInterrupt:
        print(f"\nstopped; what is finished is kept. To go on: {_again(arguments)}", file=sys.stderr)
        return _INTERRUPTED


def _disk_error(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    # Some writers give no number: what fails halfway through writing is as good as always a full disk.
    if error.errno in (None, errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        reason = error.strerror or error
        return f"{where}cannot write, is the disk full? ({reason}); free some space and run the same command again"
    return f"{where}{error.strerror or error}; mend that and run the same command again"


def _again(arguments: list[str] | None) -> str:
    import shlex

    return shlex.join(["python", "study.py", *(sys.argv[1:] if arguments is None else arguments)])


if __name__ == "__main__":
    sys.exit(main())
