"""Typed gRPC stubs of the PDP's contracts, in one flat module.

    import pdp_client as pdp

    with pdp.connect("127.0.0.1:50051") as channel:
        stub = pdp.DecideServiceStub(channel)
        request = pdp.DecideRequest(content=pdp.Content(text="…"))
        permit = pdp.enforce(stub.Decide(request, timeout=1), request)
        print(permit.text)

The module exports every message and service of `proto/pdp/v1`, functions that create channels, and
`enforce` with `resume`. `make generate` generates `_gen`.
"""

from pdp_client._gen.pdp.v1.api_key_pb2 import *  # noqa: F403 - the package exports these modules
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
from pdp_client.channel import connect as connect
from pdp_client.channel import connect_async as connect_async
from pdp_client.enforcement import MASK as MASK
from pdp_client.enforcement import Denied as Denied
from pdp_client.enforcement import Held as Held
from pdp_client.enforcement import NotPermitted as NotPermitted
from pdp_client.enforcement import Permit as Permit
from pdp_client.enforcement import RequiredApproval as RequiredApproval
from pdp_client.enforcement import Route as Route
from pdp_client.enforcement import enforce as enforce
from pdp_client.enforcement import resume as resume
