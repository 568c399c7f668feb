"""The servicers behind the chain of guards: what any transport, or none, serves."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pdp.admin.api_keys import ApiKeys
from pdp.admin.change_log import ChangeLog
from pdp.admin.compliance.bundles import ComplianceBundles
from pdp.admin.customer_policies import CustomerPolicies
from pdp.admin.dlp.import_export import DlpRuleImportExport
from pdp.admin.dlp.rules import DlpRules
from pdp.admin.kill_switch import KillSwitches
from pdp.admin.limits import Limits
from pdp.admin.model_catalog import ModelCatalog
from pdp.admin.org_policy import OrgPolicies
from pdp.admin.policy_packs.chains import PolicyChains
from pdp.admin.policy_packs.packs import PolicyPacks
from pdp.admin.policy_packs.rules import PolicyRules
from pdp.admin.static_policies import StaticOverrides, StaticPolicies
from pdp.admin.tenant_settings import TenantSettingsAdmin
from pdp.admin.user_groups import UserGroups
from pdp.audit.reader import RecordReader
from pdp.detect.ner import open_engine
from pdp.server.exports import Exporting
from pdp.server.security import for_development
from pdp.transport.admission import admissions
from pdp.transport.guards import endpoints
from pdp.transport.methods import Method, methods
from pdp.transport.metrics import Metrics
from pdp.transport.servicers.api_key import ApiKeyServicer
from pdp.transport.servicers.audit import AuditServicer
from pdp.transport.servicers.compliance_bundle import ComplianceBundleServicer
from pdp.transport.servicers.customer_policy import CustomerPolicyServicer
from pdp.transport.servicers.decide import DecideServicer
from pdp.transport.servicers.dlp_rule import DlpRuleServicer
from pdp.transport.servicers.dlp_simulation import DlpSimulationServicer
from pdp.transport.servicers.kill_switch import KillSwitchServicer
from pdp.transport.servicers.limits import LimitServicer
from pdp.transport.servicers.model_catalog import ModelCatalogServicer
from pdp.transport.servicers.org_policy import OrgPolicyServicer
from pdp.transport.servicers.policy_chain import PolicyChainServicer
from pdp.transport.servicers.policy_pack import PolicyPackServicer
from pdp.transport.servicers.replay import ReplayServicer
from pdp.transport.servicers.siem import SiemServicer
from pdp.transport.servicers.simulate import SimulateServicer
from pdp.transport.servicers.static_policy import StaticPolicyServicer
from pdp.transport.servicers.tenant_settings import TenantSettingsServicer
from pdp.transport.servicers.user_group import UserGroupServicer
from pdp.usage.meter import Meter
from pdp.usage.synchronization import UsageSynchronizer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pdp.admin.workspace import Workspace, WorkspaceStats
    from pdp.bootstrap.recording import Recording
    from pdp.domain.audit_log import AuditLog
    from pdp.domain.detector import EntityDetector
    from pdp.domain.ner import NerFinder
    from pdp.publisher import Publisher
    from pdp.transport.admission import Check, Services
    from pdp.transport.call import Endpoint


@dataclass(frozen=True, slots=True)
class Wiring:
    """What the transports serve.

    Attributes:
        methods: the RPCs by gRPC path.
        endpoints: the guarded endpoint of each, by the same.
        metrics: what they count.
        metering: the counters of limits, to be kept of one mind with the store.
        admissions: what an adapter asks before it reads a message, by gRPC path.
        reader: reads the records of decisions; None where there are none.
    """

    methods: Mapping[str, Method]
    endpoints: Mapping[str, Endpoint]
    metrics: Metrics
    metering: UsageSynchronizer
    admissions: Mapping[str, Check]
    reader: RecordReader | None = None


def _metrics(
    publisher: Publisher,
    workspace: Workspace,
    metering: UsageSynchronizer,
    keeping: Recording | None,
) -> Metrics:
    metrics = Metrics()
    _measure_policies(metrics, publisher, workspace.stats)
    metrics.gauge(
        "pdp_counters_unwritten",
        "Counters of limits whose last additions the store does not have yet.",
        lambda: metering.meter.unwritten,
    )
    if keeping is not None:
        keeping.measure(metrics)
    return metrics


def _measure_policies(metrics: Metrics, publisher: Publisher, stats: WorkspaceStats) -> None:
    metrics.gauge("pdp_snapshot_revision", "Revision in force.", lambda: publisher.revision)
    metrics.gauge(
        "pdp_snapshot_age_seconds",
        "Time since what is in force was last known to be the newest.",
        lambda: time.monotonic() - stats.current_at,
    )
    metrics.gauge("pdp_tenants_compiled", "Tenants held compiled.", lambda: len(publisher))
    metrics.counter(
        "pdp_tenant_loads",
        "Tenants asked for that were not held compiled.",
        lambda: stats.loads,
    )
    metrics.counter("pdp_compilations", "Compilations of tenants.", lambda: stats.compilations)
    metrics.counter(
        "pdp_compilation_seconds",
        "Time that compilations of tenants took.",
        lambda: stats.compiling_s,
    )


def _decisions(
    decide: DecideServicer, workspace: Workspace, ner: NerFinder, log: AuditLog | None
) -> dict[str, Endpoint]:
    """Returns the handlers of what judges: decisions, and what they would be."""
    return {
        **decide.handlers(),
        **SimulateServicer(decide).handlers(),
        **ReplayServicer(decide, workspace, log).handlers(),
        **DlpSimulationServicer(decide, ner).handlers(),
    }


def _policies(workspace: Workspace, detectors: Mapping[str, EntityDetector]) -> dict[str, Endpoint]:
    """Returns the handlers of what is administered through the workspace alone."""
    packs = PolicyPackServicer(PolicyPacks(workspace), PolicyRules(workspace))
    dlp = DlpRuleServicer(DlpRules(workspace, detectors), DlpRuleImportExport(workspace, detectors))
    static = StaticPolicyServicer(StaticPolicies(workspace), StaticOverrides(workspace))
    return {
        **dlp.handlers(),
        **ComplianceBundleServicer(ComplianceBundles(workspace)).handlers(),
        **UserGroupServicer(UserGroups(workspace)).handlers(),
        **ApiKeyServicer(ApiKeys(workspace)).handlers(),
        **CustomerPolicyServicer(CustomerPolicies(workspace)).handlers(),
        **KillSwitchServicer(KillSwitches(workspace)).handlers(),
        **ModelCatalogServicer(ModelCatalog(workspace)).handlers(),
        **packs.handlers(),
        **PolicyChainServicer(PolicyChains(workspace)).handlers(),
        **static.handlers(),
    }


def wire(
    publisher: Publisher,
    workspace: Workspace,
    ner: NerFinder | None = None,
    secure: Callable[[Metrics], Services] = for_development,
    *,
    around: Callable[[Endpoint], Endpoint] | None = None,
    keeping: Recording | None = None,
    exporting: Exporting | None = None,
) -> Wiring:
    """Puts the servicers behind the chain of guards.

    Args:
        publisher: the snapshots in force.
        workspace: what policies are written through.
        ner: the models that find named entities; None for none.
        secure: returns what finds out who calls.
        around: put around every endpoint, outside the guards: a tracer.
        keeping: the records of decisions; None records nothing.
        exporting: SIEM connectors and alerts; None has no settings for any.
    """
    ner = ner or open_engine()
    exporting = exporting or Exporting.nowhere()
    metering = UsageSynchronizer(workspace, Meter())
    metrics = _metrics(publisher, workspace, metering, keeping)
    records, log = (keeping.records, keeping.log) if keeping else (None, None)
    reader = RecordReader(log) if log else None
    decide = DecideServicer(publisher, workspace, metering.meter, metrics, ner, records=records)
    decide.chunks.measure(metrics)
    handlers: dict[str, Endpoint] = {
        **_decisions(decide, workspace, ner, log),
        **_policies(workspace, publisher.platform.detectors),
        **OrgPolicyServicer(OrgPolicies(workspace), exporting.trials).handlers(),
        **TenantSettingsServicer(TenantSettingsAdmin(workspace)).handlers(),
        **SiemServicer(exporting.directory).handlers(),
        **AuditServicer(reader, ChangeLog(workspace)).handlers(),
        **LimitServicer(Limits(workspace, metering)).handlers(),
    }
    served = {method.path: method for method in methods()}
    services = secure(metrics)
    guarded = endpoints(
        served, {path: handlers[each.name] for path, each in served.items()}, services
    )
    if around is not None:
        guarded = {path: around(each) for path, each in guarded.items()}
    return Wiring(served, guarded, metrics, metering, admissions(served, services), reader)
