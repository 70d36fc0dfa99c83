"""Runs mirrored to wandb or CSV; files stay the source, and no failure here reaches a result."""

from ult_lightning.tracking._log import finish, log_rows, log_ticket, use_ticket
from ult_lightning.tracking._loggers import LOGGERS, make_logger

__all__ = ["LOGGERS", "finish", "log_rows", "log_ticket", "make_logger", "use_ticket"]
