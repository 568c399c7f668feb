/** How long ago something was. Only this is updated each second, not what surrounds it. */
import { age, time } from "./format";
import { now } from "./remote";

export function Ago({ time: at }: { time: string | null | undefined }) {
  const ahead = Date.parse(at ?? "") - now.value;
  // The clock of the page advances once a second.
  const justNow = ahead > 0 && ahead < 2_000;
  return <span title={time(at)}>{justNow ? "now" : age(at, now.value)}</span>;
}
