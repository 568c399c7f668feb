/** What is decided otherwise with the draft. */
import { Badge, OUTCOMES } from "../../ui/outcome";
import { changesBetween, type Run } from "./runs";

export function Comparison({ now, withDraft }: { now: Run; withDraft: Run }) {
  if (now.answer === undefined || withDraft.answer === undefined) return null;
  const changes = changesBetween(now.answer, withDraft.answer);
  return (
    <section class="comparison" aria-label="What the draft changes">
      <h2>What the draft changes</h2>
      {changes.length === 0 ? (
        <p class="soft">Nothing: the decision is the same with the draft.</p>
      ) : (
        <table class="plain-table">
          <thead>
            <tr>
              <th scope="col">What</th>
              <th scope="col">Now</th>
              <th scope="col">With the draft</th>
            </tr>
          </thead>
          <tbody>
            {changes.map(({ what, before, after }) => (
              <tr key={what}>
                <th scope="row">{what}</th>
                <td>
                  <Value text={before} />
                </td>
                <td>
                  <Value text={after} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

function Value({ text }: { text: string }) {
  if (text === "") return <span class="soft">–</span>;
  return OUTCOMES.some((outcome) => outcome === text) ? <Badge value={text} /> : <>{text}</>;
}
