export default function Page() {
  return <h1>Policies</h1>;
}
