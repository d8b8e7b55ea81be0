package store.artifact.guideboard;

import java.io.InputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.chemistry.opencmis.commons.impl.json.JSONArray;
import org.apache.chemistry.opencmis.commons.impl.json.JSONObject;
import org.apache.chemistry.opencmis.tck.CmisTest;
import org.apache.chemistry.opencmis.tck.CmisTestGroup;
import org.apache.chemistry.opencmis.tck.CmisTestProgressMonitor;
import org.apache.chemistry.opencmis.tck.CmisTestResult;
import org.apache.chemistry.opencmis.tck.CmisTestResultStatus;
import org.apache.chemistry.opencmis.tck.runner.AbstractRunner;

/**
 * Runs one group of the conformance kit against a repository and writes all results as JSON, those of steps within steps too. Ends with 0 when every
 * test was run, whatever came out, and with 1 when the kit itself failed: a finding is not a failure of the run.
 */
public final class RunGroup extends AbstractRunner {
  private RunGroup() {}

  /** @param arguments file of session parameters (name=value), class of the group, file for the results */
  public static void main(String[] arguments) throws Exception {
    RunGroup runner = new RunGroup();
    runner.loadParameters(Path.of(arguments[0]).toFile());
    runner.addGroup(arguments[1]);
    runner.run(new Monitor());
    JSONArray groups = new JSONArray();
    for (CmisTestGroup group : runner.getGroups()) groups.add(describe(group));
    JSONObject report = new JSONObject();
    report.put("tckRevision", resource(TCK_REVISION));
    report.put("tckBuild", resource(TCK_BUILD_TIMESTAMP));
    report.put("groups", groups);
    Files.writeString(Path.of(arguments[2]), report.toJSONString() + "\n");
    System.exit(0);
  }

  /** The kit says in small files of its own which build it is. */
  private static String resource(String name) throws Exception {
    try (InputStream stream = AbstractRunner.class.getResourceAsStream(name)) {
      return stream == null ? "unknown" : new String(stream.readAllBytes(), StandardCharsets.UTF_8).strip();
    }
  }

  private static JSONObject describe(CmisTestGroup group) throws Exception {
    JSONObject described = new JSONObject();
    described.put("name", group.getName());
    JSONArray tests = new JSONArray();
    for (CmisTest test : group.getTests()) {
      JSONObject entry = new JSONObject();
      entry.put("name", test.getName());
      entry.put("description", test.getDescription());
      entry.put("enabled", test.isEnabled());
      entry.put("milliseconds", test.getTime());
      entry.put("results", describe(test.getResults()));
      tests.add(entry);
    }
    described.put("tests", tests);
    return described;
  }

  private static JSONArray describe(List<CmisTestResult> results) {
    JSONArray described = new JSONArray();
    for (CmisTestResult result : results) {
      JSONObject entry = new JSONObject();
      CmisTestResultStatus status = result.getStatus();
      entry.put("status", status == null ? "OK" : status.name());
      if (result.getMessage() != null) entry.put("message", result.getMessage());
      if (result.getUrl() != null) entry.put("url", result.getUrl());
      if (result.getRequest() != null) entry.put("request", result.getRequest());
      if (result.getResponse() != null) entry.put("response", result.getResponse());
      if (result.getException() != null) entry.put("exception", text(result.getException()));
      if (!result.getChildren().isEmpty()) entry.put("results", describe(result.getChildren()));
      described.add(entry);
    }
    return described;
  }

  private static String text(Throwable thrown) {
    StringWriter writer = new StringWriter();
    thrown.printStackTrace(new PrintWriter(writer));
    return writer.toString();
  }

  /** Tells on standard output what is going on. */
  private static final class Monitor implements CmisTestProgressMonitor {
    @Override
    public void startGroup(CmisTestGroup group) {
      System.out.println("group " + group.getName() + " (" + countOf(group) + " tests)");
    }

    @Override
    public void endGroup(CmisTestGroup group) {
      System.out.println("end of group " + group.getName());
    }

    @Override
    public void startTest(CmisTest test) {
      System.out.println("  " + test.getName());
    }

    @Override
    public void endTest(CmisTest test) {
      Map<CmisTestResultStatus, Integer> counts = new LinkedHashMap<>();
      for (CmisTestResult result : new ArrayList<>(test.getResults())) counts.merge(result.getStatus(), 1, Integer::sum);
      System.out.println("    " + counts + " in " + test.getTime() + " ms");
    }

    @Override
    public void message(String message) {
      System.out.println("    " + message);
    }

    private static int countOf(CmisTestGroup group) {
      try {
        return group.getTests().size();
      } catch (Exception unknown) {
        return 0;
      }
    }
  }
}
