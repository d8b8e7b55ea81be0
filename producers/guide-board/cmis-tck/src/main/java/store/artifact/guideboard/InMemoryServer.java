package store.artifact.guideboard;

import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.webapp.WebAppContext;

/** Serves a CMIS repository that lives in memory on a free port of loopback, until standard input ends. */
public final class InMemoryServer {
  private InMemoryServer() {}

  /** @param arguments the web archive, an empty folder to unpack it into, and a file that gets the base address once it answers */
  public static void main(String[] arguments) throws Exception {
    Server server = new Server();
    ServerConnector connector = new ServerConnector(server);
    connector.setHost("127.0.0.1");
    server.addConnector(connector);
    WebAppContext application = new WebAppContext(arguments[0], "/inmemory");
    application.setTempDirectory(new File(arguments[1]));
    application.setDescriptor(InMemoryServer.class.getResource("/bindings.xml").toString());
    application.setThrowUnavailableOnStartupException(true);
    server.setHandler(application);
    server.start();
    Files.writeString(Path.of(arguments[2]), "http://127.0.0.1:" + connector.getLocalPort() + "/inmemory");
    while (System.in.read() >= 0) {
      // Whoever started this keeps its end of the pipe open as long as the server is wanted.
    }
    server.stop();
  }
}
