#include "config/flags.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "config/values.h"

namespace hadal {
namespace {

constexpr std::string_view kServer = "Server";
constexpr std::string_view kModel = "Model";
constexpr std::string_view kEngine = "Engine";
constexpr std::string_view kLimits = "Limits";
constexpr std::string_view kGeneral = "General";

constexpr std::array<std::pair<std::string_view, LogLevel>, 5> kLogLevels = {{
    {"trace", LogLevel::kTrace},
    {"debug", LogLevel::kDebug},
    {"info", LogLevel::kInfo},
    {"warning", LogLevel::kWarning},
    {"error", LogLevel::kError},
}};

Error unexpected(std::string_view found, std::string_view wanted) {
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("found '{}', wanted {}", printable(found), wanted)};
}

// `field(config)` is a reference to an integer of any type.
template <typename Field>
Flag integer(std::string_view group, std::string_view name, std::string_view help, int64_t min,
             int64_t max, Field field) {
  Flag flag{.group = group, .name = name, .value_name = "N", .help = help};
  flag.set = [=](Config& config, std::string_view text) -> Status {
    const auto value = parse_integer(text);
    if (!value || *value < min || *value > max) {
      return unexpected(text, fmt::format("an integer from {} to {}", min, max));
    }
    field(config) = static_cast<std::remove_reference_t<decltype(field(config))>>(*value);
    return {};
  };
  flag.show = [=](const Config& config) {
    Config copy = config;
    return fmt::format("{}", field(copy));
  };
  return flag;
}

template <typename Field>
Flag text(std::string_view group, std::string_view name, std::string_view value_name,
          std::string_view help, Field field) {
  Flag flag{.group = group, .name = name, .value_name = value_name, .help = help};
  flag.set = [=](Config& config, std::string_view value) -> Status {
    field(config) = std::string(value);
    return {};
  };
  flag.show = [=](const Config& config) {
    Config copy = config;
    return field(copy);
  };
  return flag;
}

template <typename Field>
Flag on_off(std::string_view group, std::string_view name, std::string_view help, Field field) {
  Flag flag{.kind = FlagKind::kSwitch, .group = group, .name = name, .help = help};
  flag.set = [=](Config& config, std::string_view value) -> Status {
    const auto on = parse_switch(value);
    if (!on) return unexpected(value, "true or false");
    field(config) = *on;
    return {};
  };
  flag.show = [=](const Config& config) {
    Config copy = config;
    return std::string(field(copy) ? "on" : "off");
  };
  return flag;
}

Flag served_model_name() {
  Flag flag{.kind = FlagKind::kList,
            .group = kServer,
            .name = "served-model-name",
            .value_name = "NAME ...",
            .help = "names a request may use; the first is the one in answers"};
  flag.set = [](Config& config, std::string_view value) -> Status {
    std::vector<std::string> names;
    while (!value.empty()) {
      const size_t comma = value.find(',');
      names.emplace_back(value.substr(0, comma));
      if (names.back().empty()) return unexpected(value, "names that are not empty");
      value = comma == std::string_view::npos ? "" : value.substr(comma + 1);
    }
    if (names.empty()) return unexpected(value, "at least one name");
    config.serve.served_model_names = std::move(names);
    return {};
  };
  flag.show = [](const Config&) { return std::string("MODEL"); };
  return flag;
}

Flag log_level() {
  Flag flag{.group = kGeneral,
            .name = "log-level",
            .value_name = "LEVEL",
            .help = "trace, debug, info, warning or error"};
  flag.set = [](Config& config, std::string_view value) -> Status {
    for (const auto& [name, level] : kLogLevels) {
      if (name == value) {
        config.serve.log_level = level;
        return {};
      }
    }
    return unexpected(value, "trace, debug, info, warning or error");
  };
  flag.show = [](const Config& config) {
    for (const auto& [name, level] : kLogLevels) {
      if (level == config.serve.log_level) return std::string(name);
    }
    return std::string();
  };
  return flag;
}

Flag seed() {
  Flag flag{.group = kModel,
            .name = "seed",
            .value_name = "N",
            .help = "makes the seeds of requests that give none repeatable"};
  flag.set = [](Config& config, std::string_view value) -> Status {
    const auto number = parse_integer(value);
    if (!number || *number < 0) return unexpected(value, "an integer from 0 to 2^63 - 1");
    config.serve.seed = static_cast<uint64_t>(*number);
    return {};
  };
  flag.show = [](const Config&) { return std::string("random"); };
  return flag;
}

Flag temperature() {
  Flag flag{.group = kGeneral,
            .name = "temperature",
            .value_name = "T",
            .help = "0 (always the likeliest token) to 2"};
  flag.set = [](Config& config, std::string_view value) -> Status {
    const auto number = parse_number(value);
    if (!number || *number < 0 || *number > 2) return unexpected(value, "a number from 0 to 2");
    config.chat.temperature = *number;
    return {};
  };
  flag.show = [](const Config&) { return std::string("the server's"); };
  return flag;
}

Flag speculative_method() {
  Flag flag{.group = kEngine,
            .name = "speculative-config.method",
            .value_name = "METHOD",
            .help = "mtp: draft with the model's own layer"};
  flag.set = [](Config& config, std::string_view value) -> Status {
    // vLLM's command lines use both names for this model's layer.
    if (value != "mtp" && value != "deepseek_mtp") return unexpected(value, "mtp");
    config.serve.speculative_method = "mtp";
    return {};
  };
  flag.show = [](const Config&) { return std::string("none"); };
  return flag;
}

Flag speculative_config() {
  Flag flag{.kind = FlagKind::kObject,
            .group = kEngine,
            .name = "speculative-config",
            .value_name = "JSON",
            .help = "both as one object, as in vLLM"};
  flag.set = [](Config&, std::string_view value) -> Status {
    return unexpected(value, "an object such as {\"method\": \"mtp\"}");
  };
  flag.show = [](const Config&) { return std::string(); };
  return flag;
}

std::vector<Flag> server_flags() {
  return {
      text(
          kServer, "host", "ADDRESS", "address to listen on",
          [](Config & c) -> auto& { return c.serve.host; }),
      integer(
          kServer, "port", "port to listen on; 0 takes a free one", 0, 65535,
          [](Config & c) -> auto& { return c.serve.port; }),
      served_model_name(),
      integer(
          kServer, "shutdown-timeout", "seconds that SIGTERM waits for accepted requests", 0, 86400,
          [](Config & c) -> auto& { return c.serve.shutdown_timeout_s; }),
      text(
          kModel, "chat-format", "NAME", "auto (by the checkpoint's template) or its name",
          [](Config & c) -> auto& { return c.serve.chat_format; }),
      seed(),
      integer(
          kModel, "max-model-len", "prompt plus output of one request; 0: what fits", 0,
          int64_t{1} << 20, [](Config & c) -> auto& { return c.serve.limits.max_model_len; }),
  };
}

std::vector<Flag> engine_flags() {
  return {
      on_off(
          kEngine, "async-scheduling", "plan a step while the one before it runs",
          [](Config & c) -> auto& { return c.serve.async_scheduling; }),
      speculative_method(),
      integer(
          kEngine, "speculative-config.num-speculative-tokens", "tokens drafted a step", 1,
          kDraftsMax, [](Config & c) -> auto& { return c.serve.num_speculative_tokens; }),
      speculative_config(),
      integer(
          kEngine, "max-num-seqs", "sequences generated at once", 1, 4096,
          [](Config & c) -> auto& { return c.serve.limits.max_num_seqs; }),
      integer(
          kEngine, "max-num-batched-tokens", "tokens computed in one step", 16, 65536,
          [](Config & c) -> auto& { return c.serve.limits.max_num_batched_tokens; }),
      integer(
          kEngine, "kv-cache-memory-bytes", "memory for the KV cache", 1 << 20, int64_t{1} << 44,
          [](Config & c) -> auto& { return c.serve.kv_cache_memory_bytes; }),
      integer(
          kEngine, "threads", "CPU threads of the model; 0: one a core", 0, 1024,
          [](Config & c) -> auto& { return c.serve.threads; }),
      on_off(
          kEngine, "explain", "log one line for every refusal of the scheduler",
          [](Config & c) -> auto& { return c.serve.explain; }),
  };
}

std::vector<Flag> limit_flags() {
  return {
      integer(
          kLimits, "requests-queued-max", "waiting requests; one more gets 429", 1, 1 << 20,
          [](Config & c) -> auto& { return c.serve.limits.requests_queued_max; }),
      integer(
          kLimits, "tokens-queued-max", "prompt tokens of the waiting requests", 1,
          int64_t{1} << 40, [](Config & c) -> auto& { return c.serve.limits.tokens_queued_max; }),
      integer(
          kLimits, "streams-max", "requests answered at once; one more gets 429", 1, 65536,
          [](Config & c) -> auto& { return c.serve.limits.streams_max; }),
      integer(
          kLimits, "connections-max", "open connections; one more is closed", 2, 131072,
          [](Config & c) -> auto& { return c.serve.limits.connections_max; }),
      integer(
          kLimits, "output-events-queued-max", "steps a reader may lag before it is dropped", 1,
          1 << 20, [](Config & c) -> auto& { return c.serve.limits.output_events_queued_max; }),
      integer(
          kLimits, "body-bytes-max", "bytes of a request's body", 1024, int64_t{1} << 30,
          [](Config & c) -> auto& { return c.serve.limits.body_bytes_max; }),
      integer(
          kLimits, "json-depth-max", "nesting of a request's JSON", 4, 1000,
          [](Config & c) -> auto& { return c.serve.limits.json_depth_max; }),
      integer(
          kLimits, "choices-max", "n of one request, times its prompts", 1, 16384,
          [](Config & c) -> auto& { return c.serve.limits.choices_max; }),
      log_level(),
  };
}

std::vector<Flag> chat_flags() {
  std::vector<Flag> flags = {
      text(
          kGeneral, "url", "URL", "the server", [](Config & c) -> auto& { return c.chat.url; }),
      text(
          kGeneral, "model", "NAME", "one of the server's models; empty: its first",
          [](Config & c) -> auto& { return c.chat.model; }),
      text(
          kGeneral, "system", "TEXT", "system message",
          [](Config & c) -> auto& { return c.chat.system; }),
      integer(
          kGeneral, "max-tokens", "length of one answer; 0: what fits", 0, 1 << 20,
          [](Config & c) -> auto& { return c.chat.max_tokens; }),
      temperature(),
  };
  for (Flag& flag : flags) flag.command = Command::kChat;
  return flags;
}

std::vector<Flag> build_table() {
  std::vector<Flag> table;
  for (auto* part : {&server_flags, &engine_flags, &limit_flags, &chat_flags}) {
    for (Flag& flag : part()) table.push_back(std::move(flag));
  }
  return table;
}

}  // namespace

std::span<const Flag> all_flags() {
  static const std::vector<Flag> table = build_table();
  return table;
}

std::string dashed(std::string_view name) {
  std::string result(name);
  std::ranges::replace(result, '_', '-');
  return result;
}

const Flag* find_flag(Command command, std::string_view name) {
  const std::string wanted = dashed(name);
  for (const Flag& flag : all_flags()) {
    if (flag.command == command && flag.name == wanted) return &flag;
  }
  return nullptr;
}

std::string spelled(const Flag& flag) {
  return fmt::format("--{}", flag.name);
}

Status complete(Config& config) {
  ServeConfig& serve = config.serve;
  if (config.command != Command::kServe) return {};
  const auto refuse = [](std::string message) {
    return Error{ErrorCode::kInvalidArgument, std::move(message)};
  };
  if (serve.model.empty()) return refuse("found no MODEL, wanted the directory of a checkpoint");
  if (!serve.speculative_method.empty() && serve.num_speculative_tokens == 0) {
    return refuse(
        "--speculative-config.method needs --speculative-config.num-speculative-tokens (1 to 7)");
  }
  if (serve.num_speculative_tokens > 0 && serve.speculative_method.empty()) {
    return refuse(
        "--speculative-config.num-speculative-tokens needs --speculative-config.method mtp");
  }
  if (serve.limits.connections_max <= serve.limits.streams_max) {
    return refuse(
        fmt::format("--connections-max {} must be above --streams-max {}, so that /health answers "
                    "while every stream is taken",
                    serve.limits.connections_max, serve.limits.streams_max));
  }
  if (serve.served_model_names.empty()) serve.served_model_names = {serve.model};
  return {};
}

}  // namespace hadal
