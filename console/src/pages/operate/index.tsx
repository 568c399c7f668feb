export default function Page() {
  return <h1>Operate</h1>;
}
