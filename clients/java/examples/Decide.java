import dev.pdp.client.Decision;
import dev.pdp.client.DecisionRequest;
import dev.pdp.client.Enforcement;
import dev.pdp.client.NotPermittedException;
import dev.pdp.client.PdpClient;
import dev.pdp.client.PdpException;
import dev.pdp.client.Permit;
import java.time.Duration;

/**
 * Prints what may go out of a text, by a PDP:
 *
 * <pre>java -cp 'target/classes:target/lib/*' examples/Decide.java ADDRESS TEXT</pre>
 */
final class Decide {
  public static void main(String[] arguments) {
    Duration timeout = Duration.ofSeconds(10); // The first call of a JVM is slow.
    try (PdpClient client = PdpClient.builder(arguments[0]).timeout(timeout).build()) {
      DecisionRequest request = DecisionRequest.ofText(arguments[1]);
      Decision decision = client.decide(request);
      Permit permit = Enforcement.enforce(request, decision);
      System.out.println(permit.text());
      permit.warnings().forEach(System.err::println);
    } catch (NotPermittedException refusal) {
      System.out.println(refusal.decision().outcome() + " " + refusal.reason());
    } catch (PdpException error) {
      System.err.println(error.reason() + " " + error.getMessage());
      error.violations().forEach(System.err::println);
    }
  }
}
