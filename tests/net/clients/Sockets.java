// SPDX-License-Identifier: MIT
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.StandardSocketOptions;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.channels.SocketChannel;

/**
 * Sockets PLAIN OFF CHANNEL HTTP LISTEN: the ways in which a Java program gets sockets, each at a
 * port of its own. What it does to them: nothing, keepalive off, keepalive on, nothing, nothing.
 */
class Sockets {
	public static void main(String[] args) throws Exception {
		String host = "127.0.0.1";
		Socket plain = new Socket(host, Integer.parseInt(args[0]));
		Socket off = new Socket(host, Integer.parseInt(args[1]));
		off.setKeepAlive(false);
		SocketChannel channel = SocketChannel.open();
		channel.setOption(StandardSocketOptions.SO_KEEPALIVE, true);
		channel.connect(new InetSocketAddress(host, Integer.parseInt(args[2])));
		HttpClient.newHttpClient().sendAsync(
			HttpRequest.newBuilder(URI.create("http://" + host + ":" + args[3] + "/")).build(),
			HttpResponse.BodyHandlers.ofString());
		ServerSocket server = new ServerSocket(Integer.parseInt(args[4]), 5,
			InetAddress.getByName(host));
		System.out.println("ready");
		// Held: a socket that nobody refers to would be closed by the collector.
		Object[] kept = {plain, off, channel, server.accept()};
		Thread.sleep(Long.MAX_VALUE);
		System.out.println(kept.length);
	}
}
