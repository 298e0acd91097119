from ._cause import Cause as Cause
from ._diagnose import diagnose as diagnose
from ._diagnose import likely_cause as likely_cause
