#pragma once
// Runs the built program as a shell would, in a folder of its own.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace modelhop::cli {

inline const std::string kProgram = MODELHOP_BINARY_DIR "/bin/modelhop";

struct Ran {
  int exit{};
  std::string out, err;
};

inline std::string slurp(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

class Shell {
 public:
  Shell() {
    char name[] = "/tmp/modelhop-program-test-XXXXXX";
    folder = mkdtemp(name);
  }
  ~Shell() { std::filesystem::remove_all(folder); }
  // With a home of its own, so that no setting of this machine counts.
  Ran run(const std::string& words, const std::string& environment = "") const {
    return sh(environment + " '" + kProgram + "' " + words);
  }
  Ran sh(const std::string& command) const {
    const std::string all = "cd '" + folder +
                            "' && env -u MODELHOP_SERVER -u MODELHOP_STATE_DIR -u MODELHOP_STORE HOME='" + folder +
                            "' " + command + " >out 2>err </dev/null";
    const int status = std::system(all.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, slurp(folder + "/out"), slurp(folder + "/err")};
  }
  std::string folder;
};

}  // namespace modelhop::cli
