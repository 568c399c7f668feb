export default function Page() {
  return <h1>Kill switch</h1>;
}
