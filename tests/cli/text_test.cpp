#include <catch2/catch_test_macros.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "cli/json_input.h"
#include "cli/output.h"
#include "cli/settings.h"
#include "cli/spec_input.h"
#include "common/spec/suggest.h"

namespace modelhop::cli {
namespace {

struct Folder {
  Folder() {
    char name[] = "/tmp/modelhop-cli-test-XXXXXX";
    path = mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string file(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(path + "/" + name).parent_path());
    std::ofstream(path + "/" + name) << text;
    return path + "/" + name;
  }
  std::string path;
};

TEST_CASE("a slip of the hand finds the word that was meant, and nonsense finds none", "[cli]") {
  const std::vector<std::string> words = {"list", "show", "watch", "export", "--state-dir", "--store"};
  CHECK(nearest_name("lsit", words) == "list");
  CHECK(nearest_name("exprot", words) == "export");
  CHECK(nearest_name("--state-dri", words) == "--state-dir");
  CHECK(nearest_name("exp", words) == "export");
  CHECK(nearest_name("zebra", words).empty());
  CHECK(nearest_name(std::string(1000, 'x'), words).empty());
}

TEST_CASE("each origin of a setting gives way to the next", "[cli][config]") {
  const Folder folder;
  SettingPlaces places;
  places.system_file = folder.path + "/none.json";
  places.environment["HOME"] = folder.path;
  const auto server = [&](const FlagValues& flags) {
    const auto settings = Settings::load(flags, places);
    REQUIRE(settings.ok());
    const Setting& setting = settings->get("server");
    return setting.value + " from " + setting.from;
  };
  CHECK(server({}) == "http://127.0.0.1:8080 from default");
  places.system_file = folder.file("etc.json", R"({"server": "etc"})");
  CHECK(server({}) == "etc from " + places.system_file);
  const std::string user = folder.file(".config/modelhop/config.json", R"({"server": "user"})");
  CHECK(server({}) == "user from " + user);
  places.environment["MODELHOP_SERVER"] = "env";
  CHECK(server({}) == "env from MODELHOP_SERVER");
  const std::string config = folder.file("my.json", R"({"server": "mine"})");
  CHECK(server({{}, config}) == "mine from " + config);
  CHECK(server({{{"server", "flag"}}, config}) == "flag from flag");
}

TEST_CASE("the store lies in the state directory unless it is named", "[cli][config]") {
  SettingPlaces places;
  places.system_file = "/nonexistent";
  places.environment["XDG_STATE_HOME"] = "/s";
  CHECK(Settings::load({}, places)->store() == "/s/modelhop/store");
  CHECK(Settings::load({{{"state_dir", "/d"}}, ""}, places)->store() == "/d/store");
  CHECK(Settings::load({{{"store", "/elsewhere"}}, ""}, places)->store() == "/elsewhere");
}

TEST_CASE("a config file's mistake names the file, the key and what was meant", "[cli][config]") {
  const Folder folder;
  SettingPlaces places;
  places.system_file = "/nonexistent";
  const auto message = [&](const std::string& text) {
    return Settings::load({{}, folder.file("c.json", text)}, places).status().message();
  };
  CHECK(message(R"({"sotre": "x"})").find("/sotre: no such setting; did you mean \"store\"?") != std::string::npos);
  CHECK(message(R"({"store": 3})").find("/store: a string is needed") != std::string::npos);
  CHECK(message("[]").find("a JSON object") != std::string::npos);
  CHECK(message("{").find("c.json") != std::string::npos);
  CHECK(message(std::string(10'000, '[')).find("nested deeper") != std::string::npos);
  CHECK(Settings::load({{}, folder.path + "/none.json"}, places).status().code() == Code::kNotFound);
  CHECK(Settings::load({{{"output", "xml"}}, ""}, places).status().code() == Code::kInvalid);
}

TEST_CASE("--set changes a spec at a path, and says where there is none", "[cli]") {
  const Folder folder;
  const std::string file = folder.file("s.json", R"({"training":{"epochs":5},"layers":[{"p":0.5}]})");
  CHECK(*read_spec(file, {"training.epochs=3", "name=a b", "layers.0.p=0.25"}) ==
        R"({"layers":[{"p":0.25}],"name":"a b","training":{"epochs":3}})");
  for (const char* bad : {"x", "=1", "layers.7.p=1", "training.epochs.deep=1", "a..b=1"}) {
    INFO(bad);
    CHECK(read_spec(file, {bad}).status().code() == Code::kInvalid);
  }
  CHECK(read_spec(folder.path + "/none", {}).status().code() == Code::kNotFound);
}

TEST_CASE("a table is aligned, CSV is exact, and no name drives the terminal", "[cli][output]") {
  const std::vector<Json> items = {{{"name", "a\x1b[2J"}, {"value", 0.1234567}},
                                   {{"name", "long name"}, {"value", nullptr}}};
  const std::vector<Column> columns = {key_column("name", "name"), key_column("value", "value")};
  CHECK(format_table(columns, items) ==
        "NAME        VALUE\n"
        "a?[2J      0.1235\n"
        "long name       -\n");
  CHECK(format_csv(columns, {{{"name", "a,b"}, {"value", 0.1}}}) == "name,value\n\"a,b\",0.1\n");
}

TEST_CASE("parameters are short where their last words differ, and whole where they do not", "[cli][output]") {
  CHECK(params_text({{"training.optimizer.lr", 0.001}, {"training.batch_size", 64}}) == "batch_size=64 lr=0.001");
  CHECK(params_text({{"a.p", 1}, {"b.p", 2}}) == "a.p=1 b.p=2");
}

TEST_CASE("durations and sizes are what people say", "[cli][output]") {
  CHECK(duration_text(0.42) == "0.4s");
  CHECK(duration_text(12.6) == "13s");
  CHECK(duration_text(185) == "3m05s");
  CHECK(duration_text(7800) == "2h10m");
  CHECK(duration_text(-1) == "-");
  CHECK(bytes_text(812) == "812 B");
  CHECK(bytes_text(3'200'000) == "3.2 MB");
}

TEST_CASE("cutting keeps whole characters and ends what coloured them", "[cli][output]") {
  CHECK(cut_to_width("abcdef", 4) == "abc~");
  CHECK(cut_to_width("abcd", 4) == "abcd");
  CHECK(cut_to_width("\xc3\xa9\xc3\xa9\xc3\xa9", 2) == "\xc3\xa9~");
  CHECK(display_width("\x1b[31mred\x1b[0m") == 3);
  CHECK(cut_to_width("\x1b[31mredder\x1b[0m", 4) == "\x1b[31mred~\x1b[0m");
}

}  // namespace
}  // namespace modelhop::cli
