export default function Page() {
  return <h1>Approvals</h1>;
}
