"""Puts the servicers behind the guards: what every transport serves, and the in-process client."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pdp
from pdp.admin.api_keys import ApiKeys
from pdp.admin.approvals.answers import Approvals
from pdp.admin.approvals.desk import WorkspaceDesk
from pdp.admin.approvals.sweeper import ApprovalSweeper
from pdp.admin.change_log import ChangeLog
from pdp.admin.compliance.bundles import ComplianceBundles
from pdp.admin.customer_policies import CustomerPolicies
from pdp.admin.dlp.import_export import DlpRuleImportExport
from pdp.admin.dlp.rules import DlpRules
from pdp.admin.exceptions import Exceptions
from pdp.admin.kill_switch import KillSwitches
from pdp.admin.limits import Limits
from pdp.admin.model_catalog import ModelCatalog
from pdp.admin.org_policy import OrgPolicies
from pdp.admin.policy_feed import PolicyFeed
from pdp.admin.policy_packs.chains import PolicyChains
from pdp.admin.policy_packs.packs import PolicyPacks
from pdp.admin.policy_packs.rules import PolicyRules
from pdp.admin.processes import Processes
from pdp.admin.published_policies import PublishedPolicies
from pdp.admin.static_policies import StaticOverrides, StaticPolicies
from pdp.admin.tenant_settings import TenantSettingsAdmin
from pdp.admin.user_groups import UserGroups
from pdp.audit.reader import RecordReader
from pdp.audit.record_summary import RecordSummaries
from pdp.decisions.decider import Decider
from pdp.decisions.recording import DecisionRecorder
from pdp.decisions.reports import Reports
from pdp.decisions.text_streams import TextStreams
from pdp.detect.ner import open_engine
from pdp.domain.risk import risk_points
from pdp.policy_files.service import PolicyFiles
from pdp.server.exports import ExportSubsystem
from pdp.server.security import development_services
from pdp.server.served import Served, serve
from pdp.transport.decision_observer import DecisionObserver
from pdp.transport.methods import methods
from pdp.transport.metrics import Metrics
from pdp.transport.record_messages import record_message
from pdp.transport.servicers.access import AccessServicer
from pdp.transport.servicers.api_key import ApiKeyServicer
from pdp.transport.servicers.approval import ApprovalServicer
from pdp.transport.servicers.audit import AuditServicer
from pdp.transport.servicers.compliance_bundle import ComplianceBundleServicer
from pdp.transport.servicers.customer_policy import CustomerPolicyServicer
from pdp.transport.servicers.dead_letters import DeadLetterServicer
from pdp.transport.servicers.decide import DecideServicer
from pdp.transport.servicers.dlp_rule import DlpRuleServicer
from pdp.transport.servicers.dlp_simulation import DlpSimulationServicer
from pdp.transport.servicers.exception import ExceptionServicer
from pdp.transport.servicers.kill_switch import KillSwitchServicer
from pdp.transport.servicers.limits import LimitServicer
from pdp.transport.servicers.lint import LintServicer
from pdp.transport.servicers.model_catalog import ModelCatalogServicer
from pdp.transport.servicers.org_policy import OrgPolicyServicer
from pdp.transport.servicers.policy import PolicyServicer
from pdp.transport.servicers.policy_chain import PolicyChainServicer
from pdp.transport.servicers.policy_file import PolicyFileServicer
from pdp.transport.servicers.policy_pack import PolicyPackServicer
from pdp.transport.servicers.process import ProcessServicer
from pdp.transport.servicers.record_summary import RecordSummaryServicer
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

    from pdp.admin.saved_policies.policies import SavedPolicies
    from pdp.admin.workspace import Workspace, WorkspaceStats
    from pdp.bootstrap.recording import Recording
    from pdp.config import Settings
    from pdp.domain.detector import EntityDetector
    from pdp.domain.ner import NerFinder
    from pdp.publisher import Publisher
    from pdp.transport.admission import Services
    from pdp.transport.call import Endpoint, Handler
    from pdp.usage.metering import Metering


@dataclass(frozen=True, slots=True)
class Wiring:
    """The parts of a server that has policies of its own.

    Attributes:
        served: what the transports serve.
        metering: the counters of limits.
        sweeper: closes approvals whose time is over.
    """

    served: Served
    metering: Metering
    sweeper: ApprovalSweeper

    @property
    def metrics(self) -> Metrics:
        """The counters of calls and decisions."""
        return self.served.metrics

    @property
    def endpoints(self) -> Mapping[str, Endpoint]:
        """The guarded endpoint of each RPC, by gRPC path."""
        return self.served.endpoints


def wire(
    publisher: Publisher,
    workspace: Workspace,
    entity_finder: NerFinder | None = None,
    secure: Callable[[Metrics], Services] = development_services,
    *,
    wrap: Callable[[Endpoint], Endpoint] | None = None,
    recording: Recording | None = None,
    exporting: ExportSubsystem | None = None,
    settings: Settings | None = None,
    metering: Metering | None = None,
    saved: SavedPolicies | None = None,
) -> Wiring:
    """Puts all servicers behind the guards.

    Args:
        publisher: the snapshots in force.
        workspace: reads and writes policies.
        entity_finder: the models that find named entities; None for no models.
        secure: returns what the guards work with: authentication, metrics, rates.
        wrap: wraps every endpoint, outside the guards; a tracer, for example.
        recording: records decisions; None records nothing.
        exporting: SIEM connectors and alerts; None if neither is set up.
        settings: the settings of the server, for adapters; None for no adapters.
        metering: the counters of limits; None for those of the store.
        saved: the fallback while the store cannot be read; None for none.

    Raises:
        ConfigError: the settings of an adapter cannot be used; the message says what to do.
    """
    entity_finder = entity_finder or open_engine()
    metering = metering or UsageSynchronizer(workspace, Meter())
    metrics = _metrics(publisher, workspace, metering, recording)
    reader = RecordReader(recording.log) if recording else None
    policies, desk = PublishedPolicies(publisher, workspace, saved), WorkspaceDesk(workspace)
    recorder, observe = _recorder(recording), DecisionObserver(metrics).observe
    decider = Decider(policies, metering.meter, entity_finder, recorder, observe, desk=desk)
    feed = _policy_servicer(publisher, workspace, policies, metrics)
    handlers: dict[str, Endpoint | Handler] = {
        **_decision_handlers(decider, metrics, workspace, recording, entity_finder),
        **_policy_handlers(workspace, publisher.platform.detectors, metering),
        **_file_handlers(workspace, publisher, decider, reader),
        **_export_handlers(workspace, exporting or ExportSubsystem.disabled()),
        **_audit_handlers(workspace, recording, reader, decider),
        **_caller_handlers(feed, workspace),
    }
    ends = [feed.end_streams, *([reader.end_tails] if reader else [])]
    services = secure(metrics)
    served = serve(handlers, decider, services, wrap=wrap, settings=settings, end_streams=ends)
    return Wiring(served, metering, _sweeper(workspace, desk, metrics))


def _audit_handlers(
    workspace: Workspace,
    recording: Recording | None,
    reader: RecordReader | None,
    decider: Decider,
) -> dict[str, Endpoint]:
    """Returns the handlers of decision records, and of the changes of policies."""
    audit = AuditServicer(reader, ChangeLog(workspace), _reports(recording, decider))
    summaries = RecordSummaries(recording.log, recording.flush_counts) if recording else None
    return {**audit.handlers(), **RecordSummaryServicer(summaries).handlers()}


def _caller_handlers(feed: PolicyServicer, workspace: Workspace) -> dict[str, Endpoint | Handler]:
    """Returns the handlers of what callers learn of the server: rights, processes, updates."""
    access = AccessServicer(tuple(methods()), lambda: pdp.__version__)
    processes = ProcessServicer(Processes(workspace))
    return {**feed.handlers(), **access.handlers(), **processes.handlers()}


def _recorder(recording: Recording | None) -> DecisionRecorder:
    return recording.records if recording else DecisionRecorder()


def _reports(recording: Recording | None, decider: Decider) -> Reports | None:
    if recording is None:
        return None
    return Reports(recording.log, recording.recorder, decider.snapshot, record_message)


def _policy_servicer(
    publisher: Publisher, workspace: Workspace, policies: PublishedPolicies, metrics: Metrics
) -> PolicyServicer:
    servicer = PolicyServicer(
        PolicyFeed(workspace), policies, lambda: risk_points(publisher.platform.risk)
    )
    metrics.gauge("pdp_followers", "Followers that are connected.", lambda: servicer.streams)
    return servicer


def _sweeper(workspace: Workspace, desk: WorkspaceDesk, metrics: Metrics) -> ApprovalSweeper:
    sweeper = ApprovalSweeper(workspace, desk)
    metrics.counter(
        "pdp_approvals_expired",
        "Approvals that expired before they were used.",
        lambda: sweeper.expired,
    )
    return sweeper


def _decision_handlers(
    decider: Decider,
    metrics: Metrics,
    workspace: Workspace,
    recording: Recording | None,
    entity_finder: NerFinder,
) -> dict[str, Endpoint | Handler]:
    """Returns the handlers of decisions, and of what would be decided."""
    return {
        **DecideServicer(decider, _streams(decider, metrics)).handlers(),
        **SimulateServicer(decider).handlers(),
        **_replay_servicer(decider, workspace, recording).handlers(),
        **DlpSimulationServicer(decider, entity_finder).handlers(),
    }


def _policy_handlers(
    workspace: Workspace, detectors: Mapping[str, EntityDetector], metering: Metering
) -> dict[str, Endpoint]:
    """Returns the handlers of the policy systems that need little beside the workspace."""
    packs = PolicyPackServicer(PolicyPacks(workspace), PolicyRules(workspace))
    dlp = DlpRuleServicer(DlpRules(workspace, detectors), DlpRuleImportExport(workspace, detectors))
    static = StaticPolicyServicer(StaticPolicies(workspace), StaticOverrides(workspace))
    return {
        **dlp.handlers(),
        **ComplianceBundleServicer(ComplianceBundles(workspace)).handlers(),
        **UserGroupServicer(UserGroups(workspace)).handlers(),
        **ExceptionServicer(Exceptions(workspace)).handlers(),
        **ApiKeyServicer(ApiKeys(workspace)).handlers(),
        **ApprovalServicer(Approvals(workspace)).handlers(),
        **CustomerPolicyServicer(CustomerPolicies(workspace)).handlers(),
        **KillSwitchServicer(KillSwitches(workspace)).handlers(),
        **LimitServicer(Limits(workspace, metering)).handlers(),
        **ModelCatalogServicer(ModelCatalog(workspace)).handlers(),
        **packs.handlers(),
        **PolicyChainServicer(PolicyChains(workspace)).handlers(),
        **static.handlers(),
        **TenantSettingsServicer(TenantSettingsAdmin(workspace)).handlers(),
    }


def _export_handlers(workspace: Workspace, exporting: ExportSubsystem) -> dict[str, Endpoint]:
    """Returns the handlers of the org policy, and of the connectors to SIEMs."""
    return {
        **OrgPolicyServicer(
            OrgPolicies(workspace), exporting.trials, exporting.dead_letters
        ).handlers(),
        **SiemServicer(exporting.directory).handlers(),
        **DeadLetterServicer(exporting.dead_letters).handlers(),
    }


def _file_handlers(
    workspace: Workspace, publisher: Publisher, decider: Decider, reader: RecordReader | None
) -> dict[str, Endpoint]:
    """Returns the handlers of all policies of a tenant at once."""
    return {
        **PolicyFileServicer(PolicyFiles(workspace, publisher)).handlers(),
        **LintServicer(decider, reader).handlers(),
    }


def _streams(decider: Decider, metrics: Metrics) -> TextStreams:
    streams = TextStreams(decider)
    metrics.gauge(
        "pdp_texts_under_way",
        "Texts in chunks that have begun and not ended.",
        lambda: streams.open,
    )
    metrics.gauge(
        "pdp_texts_characters",
        "Characters of texts in chunks that are kept until these end.",
        lambda: streams.held,
    )
    return streams


def _replay_servicer(
    decider: Decider, workspace: Workspace, recording: Recording | None
) -> ReplayServicer:
    if recording is None:
        return ReplayServicer(decider, workspace, None, lambda: None)
    return ReplayServicer(decider, workspace, recording.log, recording.flush_counts)


def _metrics(
    publisher: Publisher,
    workspace: Workspace,
    metering: Metering,
    recording: Recording | None,
) -> Metrics:
    metrics = Metrics()
    _measure_policies(metrics, publisher, workspace.stats)
    metrics.gauge(
        "pdp_counters_unwritten",
        "Counters of limits whose last additions the store does not have yet.",
        lambda: metering.unwritten,
    )
    if recording is not None:
        recording.measure(metrics)
    return metrics


def _measure_policies(metrics: Metrics, publisher: Publisher, stats: WorkspaceStats) -> None:
    metrics.gauge("pdp_snapshot_revision", "Revision in force.", lambda: publisher.revision)
    metrics.gauge(
        "pdp_snapshot_age_seconds",
        "Time since what is in force was last known to be the newest.",
        lambda: time.monotonic() - stats.current_at,
    )
    _measure_cache(metrics, publisher)
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


def _measure_cache(metrics: Metrics, publisher: Publisher) -> None:
    cache = publisher.cache
    metrics.gauge("pdp_tenants_compiled", "Tenants held compiled.", lambda: len(cache))
    metrics.gauge(
        "pdp_tenant_cache_bytes", "Estimated memory of compiled tenants.", lambda: cache.size
    )
    metrics.gauge(
        "pdp_tenant_cache_limit_bytes",
        "Bound of the memory of compiled tenants.",
        lambda: cache.max_bytes,
    )
    metrics.counter(
        "pdp_tenant_cache_hits",
        "Requests for tenants that were held compiled.",
        lambda: publisher.hits,
    )
    metrics.counter(
        "pdp_tenant_cache_misses",
        "Requests for tenants that had to be loaded.",
        lambda: publisher.misses,
    )
    metrics.counter(
        "pdp_tenant_cache_evictions",
        "Tenants removed to stay within the bound.",
        lambda: cache.evictions,
    )
