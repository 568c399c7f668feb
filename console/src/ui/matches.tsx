/** The policies that matched in a decision, and why. */
import type { Schemas } from "../api/types";
import { layerName } from "../model/layers";
import { words } from "./format";
import { Badge } from "./outcome";

type Match = Schemas["Match"];

export function Matches({ matches }: { matches: readonly Match[] }) {
  if (matches.length === 0) return <p class="soft">No policy matched.</p>;
  return (
    <div class="scroll-x">
      <table class="plain-table">
        <thead>
          <tr>
            <th scope="col">Policy</th>
            <th scope="col">Layer</th>
            <th scope="col">Action</th>
            <th scope="col">Why</th>
          </tr>
        </thead>
        <tbody>
          {matches.map((match, index) => (
            <tr key={index}>
              <td title={match.policy_id}>{match.name === "" ? match.policy_id : match.name}</td>
              <td>{layerName(match.layer)}</td>
              <td>
                <Badge value={match.action} label={words(match.action)} />
              </td>
              <td>
                {match.reason}
                {notesOf(match).map((note) => (
                  <span class="note" key={note}>
                    {note}
                  </span>
                ))}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function notesOf(match: Match): string[] {
  return [
    match.pointer === undefined ? "" : `at ${match.pointer}`,
    match.would_be === undefined ? "" : `in monitor mode; would be ${match.would_be}`,
    match.excepted_by === undefined ? "" : `lifted by the exception ${match.excepted_by}`,
    match.talk === true ? "the request only talks about it" : "",
    match.approved_by === undefined ? "" : `approved by ${match.approved_by}`,
  ].filter((note) => note !== "");
}
