export default function Page() {
  return <h1>Decisions</h1>;
}
