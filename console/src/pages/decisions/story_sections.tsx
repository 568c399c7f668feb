/** The parts of the story: what each layer said, the risk, the findings, the details. */
import { layerName } from "../../model/layers";
import { href } from "../../router";
import { may } from "../../session";
import { duration, time, words } from "../../ui/format";
import { Badge } from "../../ui/outcome";
import { Fact } from "./asked";
import { matchHref } from "./links";
import { decidingMatch, type DecisionRecord, type Match, matchName } from "./rows";
import { type Chapter, findingsOf, storyOf, verdict } from "./story";

const LEVELS_WITHOUT_TIMES: ReadonlySet<string> = new Set(["minimal", "standard"]);

/** The layers in their order, each with what matched and why. */
export function LayersSection({ record }: { record: DecisionRecord }) {
  const { chapters, silent, scan } = storyOf(record);
  const deciding = decidingMatch(record);
  return (
    <section>
      <h2>Which layer said what</h2>
      <ol class="story">
        {scan !== "" && (
          <li>
            <h3>
              Scan <span class="soft small">{scan}</span>
            </h3>
            <p class="soft">{findingsCount(record)}</p>
          </li>
        )}
        {chapters.map((chapter) => (
          <ChapterItem key={chapter.layer} chapter={chapter} deciding={deciding} />
        ))}
        <li class="end">
          <h3>
            {verdict(record.outcome)}{" "}
            <span class="soft small">{duration(record.duration_us)} in all</span>
          </h3>
          <p class="soft">
            {chapters.length === 0
              ? "No layer had anything to say."
              : chapters[0]?.layer === "kill_switch"
                ? "The kill switch is asked first, so no other layer was asked."
                : "The strongest outcome of all layers counts."}
            {silent.length > 0 && ` Matched nothing: ${silent.join(", ")}.`}
            {LEVELS_WITHOUT_TIMES.has(record.logging_level) &&
              " The times of the layers are recorded at the logging level full."}
          </p>
        </li>
      </ol>
    </section>
  );
}

function findingsCount(record: DecisionRecord): string {
  const count = findingsOf(record).length;
  if (count === 0) return "The detectors found nothing.";
  return count === 1
    ? "The detectors found something at 1 place."
    : `The detectors found something at ${count} places.`;
}

function ChapterItem({ chapter, deciding }: { chapter: Chapter; deciding: Match | undefined }) {
  return (
    <li>
      <h3>
        {chapter.name}{" "}
        <span class="soft small">
          {[chapter.purpose, chapter.took].filter((part) => part !== "").join(" · ")}
        </span>
      </h3>
      <ul class="matches">
        {chapter.matches.map((match, index) => (
          <MatchItem key={index} match={match} decided={match === deciding} />
        ))}
      </ul>
    </li>
  );
}

function MatchItem({ match, decided }: { match: Match; decided: boolean }) {
  const address = matchHref(match);
  const place = [match.pointer, match.scope].filter(Boolean).join(", ");
  return (
    <li class={decided ? "decided" : ""}>
      <p>
        <Badge value={match.action} label={words(match.action)} />{" "}
        {address === undefined ? (
          <strong>{matchName(match)}</strong>
        ) : (
          <a href={address}>
            <strong>{matchName(match)}</strong>
          </a>
        )}{" "}
        <span class="soft small">
          {[match.severity && `severity ${match.severity}`, decided && "this match decided"]
            .filter(Boolean)
            .join(" · ")}
        </span>
      </p>
      <p>
        {match.reason}
        {match.pointer && place !== "" && <span class="soft"> ({place})</span>}
      </p>
      <Reservations match={match} />
    </li>
  );
}

/** Why a match has a weaker effect than its action, or none. */
function Reservations({ match }: { match: Match }) {
  return (
    <>
      {match.would_be && (
        <p class="reservation">
          Only monitored: in force, it would be <Badge value={match.would_be} />.
        </p>
      )}
      {match.excepted_by && (
        <p class="reservation">
          Lifted by the exception{" "}
          <a href={href(["policies", "exceptions", match.excepted_by])}>{match.excepted_by}</a>.
        </p>
      )}
      {match.approved_by && (
        <p class="reservation">
          Let pass by the approval{" "}
          {may("GetApproval") ? (
            <a href={href(["approvals", match.approved_by])}>{match.approved_by}</a>
          ) : (
            <code>{match.approved_by}</code>
          )}
          .
        </p>
      )}
      {match.talk === true && (
        <p class="reservation">The request only talks about it, so the weaker action counts.</p>
      )}
    </>
  );
}

export function RiskSection({ record }: { record: DecisionRecord }) {
  const { score, level, factors } = record.risk ?? { score: 0, level: "none", factors: [] };
  return (
    <section class="panel">
      <h2>Risk</h2>
      <p class="badges">
        <strong class="score">{score}</strong> <span class="soft">of 100</span>{" "}
        <Badge value={level} />
      </p>
      {factors.length === 0 ? (
        <p class="soft">Nothing adds to the risk.</p>
      ) : (
        <table class="plain-table">
          <thead>
            <tr>
              <th scope="col" class="numeric">
                Points
              </th>
              <th scope="col">Because of</th>
            </tr>
          </thead>
          <tbody>
            {factors.map(({ layer, id, points }, index) => {
              // A factor of a customer policy has the name of a part of it as its ID.
              const match = record.matches.find(
                (one) => one.layer === layer && (one.policy_id === id || one.name === id),
              );
              const address = match === undefined ? undefined : matchHref(match);
              const name = match === undefined ? id : matchName(match);
              return (
                <tr key={index}>
                  <td class="numeric">{points}</td>
                  <td>
                    {address === undefined ? name : <a href={address}>{name}</a>}{" "}
                    <span class="soft small">{layerName(layer)}</span>
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      )}
    </section>
  );
}

/** What the detectors found. The places count in the text before redaction. */
export function FindingsSection({ record }: { record: DecisionRecord }) {
  const findings = findingsOf(record);
  return (
    <section class="panel">
      <h2>What was found</h2>
      {findings.length === 0 ? (
        <p class="soft">The detectors found nothing.</p>
      ) : (
        <>
          <table class="plain-table">
            <thead>
              <tr>
                <th scope="col">Type</th>
                <th scope="col">Place</th>
                <th scope="col" class="numeric">
                  Confidence
                </th>
              </tr>
            </thead>
            <tbody>
              {findings.map(({ place, start, end, types, detectors, confidence }) => (
                <tr key={`${place} ${start} ${end}`}>
                  <td>
                    {types.join(", ")}
                    <br />
                    <span class="soft small">{detectors.join(", ")}</span>
                  </td>
                  <td>
                    <code>{place}</code>{" "}
                    <span class="whole">
                      {start} to {end}
                    </span>
                  </td>
                  <td class="numeric">{Math.round(confidence * 100)}%</td>
                </tr>
              ))}
            </tbody>
          </table>
          <p class="soft small">
            Places count characters before redaction. Values are never recorded.
          </p>
        </>
      )}
    </section>
  );
}

export function DetailsSection({ record }: { record: DecisionRecord }) {
  const known = record.policies_known_at;
  return (
    <section>
      <h2>Details</h2>
      <dl class="facts">
        <Fact name="Decision ID" value={record.decision_id} />
        <Fact name="Request ID" value={record.request_id} />
        <Fact name="Session" value={record.session_id} />
        <Fact name="Tenant" value={record.tenant_id} />
        <Fact name="Status for gateways" value={String(record.status_hint || "")} />
        <Fact name="Logging level" value={record.logging_level} />
        <Fact
          name="Sample"
          value={
            record.sample_rate ? `stands for ${Math.round(1 / record.sample_rate)} decisions` : ""
          }
        />
        <Fact name="Reported by" value={record.reported_by} />
        <Fact name="Policies known at" value={known === undefined ? "" : time(known)} />
        <Fact name="Hash of the policies" value={record.policy_hash} />
        <Fact name="Hash of the text" value={record.text_sha256} />
        <Fact name="Hash of the arguments" value={record.arguments_sha256} />
        <Fact name="Hash of what was decided" value={record.input_hash} />
      </dl>
    </section>
  );
}
