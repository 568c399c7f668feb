"""The client of the PDP: decisions, and what may go out by them.

    import pdp_client as pdp

    with pdp.Client("127.0.0.1:50051") as client:
        permit = client.decide({"content": "…"}).enforce()
        print(permit.text)

`Client` and `AsyncClient` ask for decisions. The module also exports every message and service of
`proto/pdp/v1`, functions that create channels for them, and `enforce` with `resume`. The modules in
`integrations` connect the client to other packages. `make generate` generates `_gen`.
"""

from pdp_client._gen.pdp.v1.access_pb2 import *  # noqa: F403 - the package exports these modules
from pdp_client._gen.pdp.v1.access_pb2_grpc import *  # noqa: F403
from pdp_client._gen.pdp.v1.api_key_pb2 import *  # noqa: F403
from pdp_client._gen.pdp.v1.api_key_pb2_grpc import *  # noqa: F403
from pdp_client._gen.pdp.v1.approval_pb2 import *  # noqa: F403
from pdp_client._gen.pdp.v1.approval_pb2_grpc import *  # noqa: F403
from pdp_client._gen.pdp.v1.audit_pb2 import *  # noqa: F403
from pdp_client._gen.pdp.v1.audit_pb2_grpc import *  # noqa: F403
from pdp_client._gen.pdp.v1.compliance_bundle_pb2 import *  # noqa: F403
from pdp_client._gen.pdp.v1.compliance_bundle_pb2_grpc import *  # noqa: F403
from pdp_client._gen.pdp.v1.customer_policy_pb2 import *  # noqa: F403
from pdp_client._gen.pdp.v1.customer_policy_pb2_grpc import *  # noqa: F403
from pdp_client._gen.pdp.v1.decide_pb2 import *  # noqa: F403
from pdp_client._gen.pdp.v1.decide_pb2_grpc import *  # noqa: F403
from pdp_client._gen.pdp.v1.dlp_rule_pb2 import *  # noqa: F403
from pdp_client._gen.pdp.v1.dlp_rule_pb2_grpc import *  # noqa: F403
from pdp_client._gen.pdp.v1.error_reason_pb2 import *  # noqa: F403
from pdp_client._gen.pdp.v1.exception_pb2 import *  # noqa: F403
from pdp_client._gen.pdp.v1.exception_pb2_grpc import *  # noqa: F403
from pdp_client._gen.pdp.v1.kill_switch_pb2 import *  # noqa: F403
from pdp_client._gen.pdp.v1.kill_switch_pb2_grpc import *  # noqa: F403
from pdp_client._gen.pdp.v1.limits_pb2 import *  # noqa: F403
from pdp_client._gen.pdp.v1.limits_pb2_grpc import *  # noqa: F403
from pdp_client._gen.pdp.v1.model_catalog_pb2 import *  # noqa: F403
from pdp_client._gen.pdp.v1.model_catalog_pb2_grpc import *  # noqa: F403
from pdp_client._gen.pdp.v1.org_policy_pb2 import *  # noqa: F403
from pdp_client._gen.pdp.v1.org_policy_pb2_grpc import *  # noqa: F403
from pdp_client._gen.pdp.v1.policy_chain_pb2 import *  # noqa: F403
from pdp_client._gen.pdp.v1.policy_chain_pb2_grpc import *  # noqa: F403
from pdp_client._gen.pdp.v1.policy_file_pb2 import *  # noqa: F403
from pdp_client._gen.pdp.v1.policy_file_pb2_grpc import *  # noqa: F403
from pdp_client._gen.pdp.v1.policy_pack_pb2 import *  # noqa: F403
from pdp_client._gen.pdp.v1.policy_pack_pb2_grpc import *  # noqa: F403
from pdp_client._gen.pdp.v1.policy_pb2 import *  # noqa: F403
from pdp_client._gen.pdp.v1.policy_pb2_grpc import *  # noqa: F403
from pdp_client._gen.pdp.v1.process_pb2 import *  # noqa: F403
from pdp_client._gen.pdp.v1.process_pb2_grpc import *  # noqa: F403
from pdp_client._gen.pdp.v1.scope_pb2 import *  # noqa: F403
from pdp_client._gen.pdp.v1.siem_pb2 import *  # noqa: F403
from pdp_client._gen.pdp.v1.siem_pb2_grpc import *  # noqa: F403
from pdp_client._gen.pdp.v1.simulate_pb2 import *  # noqa: F403
from pdp_client._gen.pdp.v1.simulate_pb2_grpc import *  # noqa: F403
from pdp_client._gen.pdp.v1.static_policy_pb2 import *  # noqa: F403
from pdp_client._gen.pdp.v1.static_policy_pb2_grpc import *  # noqa: F403
from pdp_client._gen.pdp.v1.tenant_settings_pb2 import *  # noqa: F403
from pdp_client._gen.pdp.v1.tenant_settings_pb2_grpc import *  # noqa: F403
from pdp_client._gen.pdp.v1.user_group_pb2 import *  # noqa: F403
from pdp_client._gen.pdp.v1.user_group_pb2_grpc import *  # noqa: F403
from pdp_client._gen.pdp.v1.write_warning_pb2 import *  # noqa: F403
from pdp_client.async_client import AsyncClient as AsyncClient
from pdp_client.async_streams import AsyncTextStream as AsyncTextStream
from pdp_client.channel import connect as connect
from pdp_client.channel import connect_async as connect_async
from pdp_client.client import Client as Client
from pdp_client.enforcement import MASK as MASK
from pdp_client.enforcement import Denied as Denied
from pdp_client.enforcement import Held as Held
from pdp_client.enforcement import NotPermitted as NotPermitted
from pdp_client.enforcement import Permit as Permit
from pdp_client.enforcement import RequiredApproval as RequiredApproval
from pdp_client.enforcement import Route as Route
from pdp_client.enforcement import enforce as enforce
from pdp_client.enforcement import resume as resume
from pdp_client.failures import UNAVAILABLE as UNAVAILABLE
from pdp_client.failures import CallFailed as CallFailed
from pdp_client.failures import FieldViolation as FieldViolation
from pdp_client.failures import Unavailable as Unavailable
from pdp_client.guard import Guard as Guard
from pdp_client.local import Local as Local
from pdp_client.local import LocalState as LocalState
from pdp_client.redaction import redact_json as redact_json
from pdp_client.redaction import redact_json_text as redact_json_text
from pdp_client.redaction import redact_text as redact_text
from pdp_client.requests import RequestLike as RequestLike
from pdp_client.requests import request_of as request_of
from pdp_client.resilience import Resilience as Resilience
from pdp_client.results import ConfirmationPrompt as ConfirmationPrompt
from pdp_client.results import Decision as Decision
from pdp_client.results import MatchedPolicy as MatchedPolicy
from pdp_client.results import Obligations as Obligations
from pdp_client.results import RedactedSpan as RedactedSpan
from pdp_client.results import Redaction as Redaction
from pdp_client.results import Simulation as Simulation
from pdp_client.streams import TextStream as TextStream
from pdp_client.telemetry import use_traceparent as use_traceparent
