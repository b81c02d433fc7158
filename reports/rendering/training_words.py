"""How segments were varied in training, in words."""

from __future__ import annotations

from reports.results import Training
from tuning import DETECTOR


def training_noise(training: Training, sigma: float) -> str:
    """What was added to the segments in training, a sentence or two."""
    if not (how := training.augmentation):
        return f"Gaussian noise of σ = {sigma:g} mV added in training."
    low, high = how["snr"]
    least, most = how["gaussian"] or (sigma, sigma)
    sigmas = f"{least:g} to {most:g}" if least < most else f"{most:g}"
    said = (
        f"In training all leads of a record, each segment cut anew each time{_shares(training)}; Gaussian noise of "
        f"σ = {sigmas} mV added"
    )
    if how["noisy"]:
        said += (
            f", noise of real electrodes (bw, em, ma of the MIT-BIH Noise Stress Test Database, or all three, from "
            f"stretches that no test uses) to {_share(how['noisy'])} of them at {low:g} to {high:g} dB"
        )
        if how["varied"]:
            said += ", turned, reversed, stretched and mixed of both channels at random"
    return said + (f", and mains hum to {_share(how['hum'])}." if how["hum"] else ".")


def _shares(training: Training) -> str:
    """Which shares of the segments were varied how; nothing where none was."""
    how = training.augmentation
    said = [(how["flipped"], "upside down"), (how["mixed"], "a mix of two leads")]
    said.append((how["stretched"], f"stretched in time by up to {_share(how['stretch'])}"))
    # Reports of before pauses were made do not have them.
    if training.task == DETECTOR and how.get("paused"):
        low, high = how["pause"]
        said.append(
            (how["paused"], f"with a pause of {low:g} to {high:g} s, P waves in {_share(how['blocked'])} of these")
        )
    return "".join(f", {_share(share)} {what}" for share, what in said if share)


def _share(value: float) -> str:
    return f"{100 * value:g} %"
