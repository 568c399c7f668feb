import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;

/** Posts the bodies, each with its length and in chunks, and prints the responses. */
public class Client {
    public static void main(String[] arguments) throws Exception {
        URI url = URI.create(arguments[0]);
        HttpClient client = HttpClient.newHttpClient(); // HTTP_2: over plaintext it offers h2c
        for (int i = 1; i < arguments.length; i++) {
            byte[] body = arguments[i].getBytes(StandardCharsets.UTF_8);
            post(client, url, BodyPublishers.ofByteArray(body));
            post(client, url, BodyPublishers.fromPublisher(BodyPublishers.ofByteArray(body)));
        }
    }

    private static void post(HttpClient client, URI url, BodyPublisher body) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(url)
            .header("Content-Type", "application/json").POST(body).build();
        HttpResponse<String> response = client.send(request, BodyHandlers.ofString());
        System.out.println(response.statusCode() + " " + response.body());
    }
}
