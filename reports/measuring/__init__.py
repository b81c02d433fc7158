"""What is measured with: leads, models and classical methods applied to them, matching, measures, and their memory."""
