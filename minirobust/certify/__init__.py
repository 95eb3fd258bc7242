"""Certificates: lower bounds on robustness, which no attack can undercut; see `docs/explanation/certificates.md`."""

from minirobust.certify.branch import Decision, decide
from minirobust.certify.certificate import Certificate, alpha_crown, crown, ibp

__all__ = ["Certificate", "Decision", "alpha_crown", "crown", "decide", "ibp"]
