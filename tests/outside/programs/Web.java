// SPDX-License-Identifier: MIT
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

/** Web server PORT: a ServerSocket; Web client PORT: an HttpClient. Neither knows of keepalive. */
class Web {
	public static void main(String[] args) throws Exception {
		int port = Integer.parseInt(args[1]);
		if (args[0].equals("server"))
			serve(port);
		else
			visit(port);
	}

	static void serve(int port) throws IOException {
		ServerSocket listener = new ServerSocket(port, 5, InetAddress.getByName("127.0.0.1"));
		System.out.println("ready");
		for (;;)
			try (Socket socket = listener.accept()) {
				answer(socket);
			} catch (IOException e) {
				System.err.println(e);
			}
	}

	static void answer(Socket socket) throws IOException {
		BufferedReader in = new BufferedReader(new InputStreamReader(socket.getInputStream()));
		String first = in.readLine();
		for (String line = first; line != null && !line.isEmpty(); )
			line = in.readLine();
		String body = "answer to " + first + "\n";
		socket.getOutputStream().write(("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: "
			+ body.length() + "\r\n\r\n" + body).getBytes());
	}

	static void visit(int port) throws Exception {
		HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
		URI uri = URI.create("http://127.0.0.1:" + port + "/java");
		System.out.print(client.send(HttpRequest.newBuilder(uri).build(),
			HttpResponse.BodyHandlers.ofString()).body());
	}
}
