#include "hadal/config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

namespace hadal {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Variables = std::map<std::string, std::string>;

Result<Config> parse(std::vector<const char*> arguments, const Variables& variables = {}) {
  return parse_command_line(arguments, [&](const std::string& name) {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  });
}

ServeConfig serve(std::vector<const char*> flags, const Variables& variables = {}) {
  flags.insert(flags.begin(), {"serve", "model_dir"});
  const auto config = parse(flags, variables);
  EXPECT_TRUE(config.ok()) << config.error().message;
  return config.value().serve;
}

std::string error_of(std::vector<const char*> flags, const Variables& variables = {}) {
  flags.insert(flags.begin(), {"serve", "model_dir"});
  const auto config = parse(flags, variables);
  EXPECT_FALSE(config.ok());
  return config.ok() ? "" : config.error().message;
}

class SettingsFile {
 public:
  explicit SettingsFile(const std::string& content)
      : path_(std::filesystem::path(::testing::TempDir()) /
              (std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()) +
               ".yaml")) {
    std::ofstream(path_) << content;
  }
  ~SettingsFile() { std::filesystem::remove(path_); }
  SettingsFile(const SettingsFile&) = delete;
  SettingsFile& operator=(const SettingsFile&) = delete;
  const char* path() const { return path_.c_str(); }

 private:
  std::filesystem::path path_;
};

TEST(CommandLine, DefaultsAreThoseOfTheStructs) {
  const ServeConfig config = serve({});
  EXPECT_EQ(config.model, "model_dir");
  EXPECT_EQ(config.port, 8000);
  EXPECT_FALSE(config.async_scheduling);
  EXPECT_EQ(config.num_speculative_tokens, 0);
  EXPECT_EQ(config.limits.max_num_seqs, Limits{}.max_num_seqs);
  EXPECT_THAT(config.served_model_names, ElementsAre("model_dir"));
}

TEST(CommandLine, UnderscoresAndDashesAreTheSameAfterADotToo) {
  const ServeConfig config =
      serve({"--max_num_seqs", "4", "--speculative_config.method=mtp",
             "--speculative-config.num_speculative-tokens", "3", "--async_scheduling"});
  EXPECT_EQ(config.limits.max_num_seqs, 4);
  EXPECT_EQ(config.speculative_method, "mtp");
  EXPECT_EQ(config.num_speculative_tokens, 3);
  EXPECT_TRUE(config.async_scheduling);
}

TEST(CommandLine, AnObjectIsTheSameAsItsDottedFlags) {
  const ServeConfig config =
      serve({"--speculative-config", R"({"method":"mtp","num_speculative_tokens":2})"});
  EXPECT_EQ(config.speculative_method, "mtp");
  EXPECT_EQ(config.num_speculative_tokens, 2);
}

TEST(CommandLine, SwitchesHaveANegativeForm) {
  EXPECT_FALSE(serve({"--async-scheduling", "--no-async-scheduling"}).async_scheduling);
  EXPECT_TRUE(serve({"--no_async_scheduling", "--async-scheduling"}).async_scheduling);
}

TEST(CommandLine, TheLastOfRepeatedFlagsWins) {
  EXPECT_EQ(serve({"--port", "1", "--port", "2"}).port, 2);
}

TEST(CommandLine, AListTakesSeveralValues) {
  EXPECT_THAT(serve({"--served-model-name", "a", "b"}).served_model_names, ElementsAre("a", "b"));
}

TEST(CommandLine, AnUnknownFlagNamesTheNearest) {
  EXPECT_THAT(error_of({"--max-num-seq", "4"}),
              AllOf(HasSubstr("--max-num-seq"), HasSubstr("--max-num-seqs")));
  EXPECT_THAT(error_of({"--async_schedulin"}), HasSubstr("--async-scheduling"));
  EXPECT_THAT(error_of({"-prot=1"}), HasSubstr("--port"));
  EXPECT_THAT(error_of({"second"}), HasSubstr("'second'"));
}

TEST(CommandLine, ABadValueNamesFlagFoundAndWanted) {
  EXPECT_THAT(error_of({"--port", "eighty"}),
              AllOf(HasSubstr("--port"), HasSubstr("'eighty'"), HasSubstr("0 to 65535")));
  EXPECT_THAT(error_of({"--speculative-config.method", "eagle"}), HasSubstr("wanted mtp"));
  EXPECT_THAT(error_of({"--log-level", "loud"}), HasSubstr("'loud'"));
  EXPECT_FALSE(error_of({"--port"}).empty());
}

TEST(CommandLine, ValuesAreHeldToTheirRange) {
  EXPECT_EQ(serve({"--port", "65535"}).port, 65535);
  EXPECT_THAT(error_of({"--port", "65536"}), HasSubstr("65536"));
  EXPECT_THAT(error_of({"--port", "-1"}), HasSubstr("-1"));
  EXPECT_EQ(serve({"--speculative-config.method", "mtp",
                   "--speculative-config.num-speculative-tokens", "7"})
                .num_speculative_tokens,
            7);
  EXPECT_THAT(error_of({"--speculative-config.num-speculative-tokens", "8"}), HasSubstr("1 to 7"));
  EXPECT_THAT(error_of({"--max-num-seqs", "99999999999999999999"}), HasSubstr("--max-num-seqs"));
  EXPECT_EQ(serve({"--kv-cache-memory-bytes", "1G"}).kv_cache_memory_bytes, int64_t{1} << 30);
}

TEST(CommandLine, ValuesMustFitEachOther) {
  EXPECT_THAT(error_of({"--speculative-config.method", "mtp"}),
              HasSubstr("num-speculative-tokens"));
  EXPECT_THAT(error_of({"--speculative-config.num-speculative-tokens", "1"}), HasSubstr("method"));
  EXPECT_THAT(error_of({"--streams-max", "10", "--connections-max", "10"}), HasSubstr("/health"));
  EXPECT_EQ(serve({"--streams-max", "10", "--connections-max", "11"}).limits.streams_max, 10);
}

TEST(CommandLine, CommandsAreKnown) {
  EXPECT_EQ(parse({"version"})->command, Command::kVersion);
  EXPECT_EQ(parse({})->command, Command::kHelp);
  EXPECT_EQ(parse({"chat", "--url", "http://h:1"})->chat.url, "http://h:1");
  EXPECT_FALSE(parse({"srve"}).ok());
  EXPECT_THAT(parse({"serve"}).error().message, HasSubstr("MODEL"));
}

TEST(CommandLine, HelpListsEveryFlagInUnderSixtyLines) {
  const auto config = parse({"serve", "--help"});
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->command, Command::kHelp);
  EXPECT_THAT(config->help, AllOf(HasSubstr("Engine:"), HasSubstr("--[no-]async-scheduling"),
                                  HasSubstr("--max-num-seqs"), HasSubstr("[8000]")));
  EXPECT_LE(std::ranges::count(config->help, '\n'), 60);
}

TEST(Settings, CommandLineBeatsEnvironmentBeatsFile) {
  const SettingsFile file("port: 1\nmax-num-seqs: 1\nmax_model_len: 1\n");
  const ServeConfig config = serve({"--config", file.path(), "--port", "3"},
                                   {{"HADAL_PORT", "2"}, {"HADAL_MAX_NUM_SEQS", "2"}});
  EXPECT_EQ(config.port, 3);
  EXPECT_EQ(config.limits.max_num_seqs, 2);
  EXPECT_EQ(config.limits.max_model_len, 1);
}

TEST(Settings, AFileMayNestAndListAndNameTheModel) {
  const SettingsFile file(
      "model: from_file\nspeculative_config:\n  method: mtp\n  num_speculative_tokens: 3\n"
      "async-scheduling: true\nserved-model-name: [a, b]\nchat-format:\n");
  const auto config = parse({"serve", "--config", file.path()});
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->serve.model, "from_file");
  EXPECT_EQ(config->serve.num_speculative_tokens, 3);
  EXPECT_TRUE(config->serve.async_scheduling);
  EXPECT_THAT(config->serve.served_model_names, ElementsAre("a", "b"));
  EXPECT_EQ(config->serve.chat_format, "auto");
}

TEST(Settings, AFileErrorNamesFileAndLine) {
  const SettingsFile unknown("port: 1\nprot: 2\n");
  EXPECT_THAT(error_of({"--config", unknown.path()}),
              AllOf(HasSubstr(unknown.path()), HasSubstr("line 2"), HasSubstr("--port")));
  const SettingsFile bad_value("port: many\n");
  EXPECT_THAT(error_of({"--config", bad_value.path()}),
              AllOf(HasSubstr("line 1"), HasSubstr("--port"), HasSubstr("'many'")));
  EXPECT_THAT(error_of({"--config", "no_such_file.yaml"}), HasSubstr("no_such_file.yaml"));
}

TEST(Settings, MalformedFilesAreRefused) {
  for (const char* content : {"- a\n", "a: [1, [2]]\n", "port: {\n", "just text",
                              "a: {b: {c: {d: {e: {f: {g: {h: {i: 1}}}}}}}}\n"}) {
    const SettingsFile file(content);
    EXPECT_FALSE(error_of({"--config", file.path()}).empty()) << content;
  }
}

TEST(Settings, AnEnvironmentErrorNamesTheVariable) {
  EXPECT_THAT(error_of({}, {{"HADAL_PORT", "x"}}), HasSubstr("HADAL_PORT"));
}

}  // namespace
}  // namespace hadal
