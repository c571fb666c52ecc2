// modelhop keys, and what a scheduler and a worker say when keys are missing: the programs as a shell runs them.
#include <sys/stat.h>

#include <catch2/catch_test_macros.hpp>
#include <string>

#include "tests/cli/shell.h"

namespace modelhop::cli {
namespace {

const std::string kWorkerProgram = MODELHOP_BINARY_DIR "/tests/modelhop-fake-worker";

unsigned mode_of_file(const std::string& path) {
  struct stat entry {};
  REQUIRE(::stat(path.c_str(), &entry) == 0);
  return entry.st_mode & 0777;
}

}  // namespace

TEST_CASE("keys are generated, listed, revoked and allowed again", "[cli][keys]") {
  const Shell shell;
  const Ran own = shell.run("keys generate --keys K");
  CHECK(own.exit == 0);
  CHECK(own.out == "K/scheduler.pub\n");
  CHECK(mode_of_file(shell.folder + "/K/scheduler.key") == 0600);
  const std::string secret = slurp(shell.folder + "/K/scheduler.key");
  CHECK(shell.run("keys generate --keys K").err.find("keeps it") != std::string::npos);
  CHECK(slurp(shell.folder + "/K/scheduler.key") == secret);

  const Ran made = shell.run("keys generate w1 --keys K");
  CHECK(made.exit == 0);
  CHECK(made.out == "K/w1.key\n");
  CHECK(made.err.find("to nobody else") != std::string::npos);
  CHECK(mode_of_file(shell.folder + "/K/w1.key") == 0600);
  CHECK(shell.run("keys generate w1 --keys K").exit == 5);
  CHECK(shell.run("keys generate scheduler --keys K").exit == 2);
  CHECK(shell.run("keys generate ../w1 --keys K").exit == 2);
  CHECK(shell.run("keys list --keys K -o csv").out.starts_with("name,state,public_key\nw1,allowed,"));
  CHECK(shell.run("keys revoke w1 --keys K").exit == 0);
  CHECK(shell.run("keys list --keys K -o csv").out.find("w1,revoked,") != std::string::npos);
  CHECK(shell.run("keys revoke w2 --keys K").exit == 3);
  CHECK(shell.run("keys allow w1 --keys K").exit == 0);
  CHECK(shell.run("keys allow w2 --keys K").exit == 3);
  CHECK(shell.run("keys allow --keys K").exit == 2);
}

TEST_CASE("a key made on its worker's machine needs only public files to travel", "[cli][keys]") {
  const Shell shell;
  REQUIRE(shell.run("keys generate --keys K").exit == 0);
  REQUIRE(shell.sh("mkdir W").exit == 0);
  REQUIRE(shell.sh("cp K/scheduler.pub W/").exit == 0);
  const Ran made = shell.run("keys generate far --keys W");
  CHECK(made.exit == 0);
  CHECK(made.err.find("keys allow far.pub") != std::string::npos);
  CHECK(shell.run("keys allow W/far.pub --keys K").exit == 0);
  CHECK(shell.run("keys list --keys K -o csv").out.find("far,allowed,") != std::string::npos);
}

TEST_CASE("the default folder of keys is the state directory's", "[cli][keys]") {
  const Shell shell;
  CHECK(shell.run("keys generate w1 --state-dir S").out == "S/keys/w1.key\n");
}

TEST_CASE("beyond loopback a scheduler without keys is a usage error that says what to do", "[cli][keys]") {
  const Shell shell;
  const Ran open = shell.run("scheduler --state-dir S --listen tcp://0.0.0.0:0 --http 127.0.0.1:0");
  CHECK(open.exit == 2);
  CHECK(open.err.find("modelhop keys generate --keys S/keys") != std::string::npos);
  const Ran insecure =
      shell.run("scheduler --state-dir S --listen tcp://0.0.0.0:0 --http 127.0.0.1:0 --insecure-loopback");
  CHECK(insecure.exit == 2);
  CHECK(insecure.err.find("loopback only") != std::string::npos);
}

TEST_CASE("a worker whose key file is open, missing or no key says so and ends", "[cli][keys]") {
  const Shell shell;
  REQUIRE(shell.run("keys generate w1 --keys K").exit == 0);
  const std::string worker = kWorkerProgram + " --scheduler tcp://127.0.0.1:1 --store S --data-dir D --key ";
  REQUIRE(shell.sh("chmod 644 K/w1.key").exit == 0);
  const Ran open = shell.sh(worker + "K/w1.key");
  CHECK(open.exit == 5);
  CHECK(open.err.find("chmod 600") != std::string::npos);
  CHECK(shell.sh(worker + "K/nobody.key").exit == 1);
  CHECK(shell.sh(worker + "K/allowed/w1.pub").exit != 0);
}

TEST_CASE("a worker without a key learns at once why it may not speak", "[cli][keys]") {
  const Shell shell;
  const std::string start = "sh -c '" + kProgram +
                            " scheduler --state-dir S --store T --listen tcp://127.0.0.1:0 --http 127.0.0.1:0 2>log & "
                            "for i in $(seq 100); do grep -q join log && break; sleep 0.1; done; "
                            "address=$(sed -n \"s/.*--scheduler \\([^ ]*\\).*/\\1/p\" log); ";
  const std::string end = "; code=$?; kill $!; wait $!; exit $code'";
  const Ran none =
      shell.sh(start + "timeout 40 " + kWorkerProgram + " --scheduler $address --store T --data-dir D" + end);
  CHECK(none.exit == 5);
  CHECK(none.err.find("lets only workers with a key in") != std::string::npos);
  CHECK(slurp(shell.folder + "/log").find("--key S/keys/local.key") != std::string::npos);
}

}  // namespace modelhop::cli
