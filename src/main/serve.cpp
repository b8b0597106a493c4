#include "main/serve.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <iostream>
#include <memory>
#include <optional>
#include <thread>

#include "hadal/base/log.h"
#include "hadal/checkpoint/checkpoint.h"
#include "hadal/engine/engine.h"
#include "hadal/runner/cpu/cpu_runner.h"
#include "hadal/server/server.h"
#include "main/end_watch.h"
#include "main/startup_report.h"

namespace hadal {
namespace {

// Everything between the weights and the port. Members are destroyed in reverse order; stop() has
// then ended the threads that use several of them.
struct Graph {
  SteadyClock clock;
  StartupReport report{clock};
  std::unique_ptr<Server> server;
  std::optional<Tokenizer> tokenizer;
  std::optional<ChatFormat> chat_format;
  std::unique_ptr<CpuRunner> runner;
  std::unique_ptr<Engine> engine;

  // Lets what is accepted end within `timeout`; the rest is cancelled.
  void stop(Duration timeout) {
    server->begin_drain();
    if (!engine->drain(timeout)) log().warn("requests were cut off by --shutdown-timeout");
    engine->stop();
    server->stop();
  }
};

int output_threads() {
  constexpr int kCoresPerThread = 8;
  constexpr int kThreadsMax = 4;
  return std::clamp(static_cast<int>(std::thread::hardware_concurrency()) / kCoresPerThread, 1,
                    kThreadsMax);
}

Status listen(Graph& graph, const ServeConfig& config, const std::string& version) {
  HADAL_ASSIGN_OR_RETURN(graph.server, Server::listen({.host = config.host,
                                                       .port = config.port,
                                                       .model_names = config.served_model_names,
                                                       .version = version,
                                                       .seed = config.seed,
                                                       .limits = config.limits,
                                                       .output_threads = output_threads()},
                                                      graph.clock));
  graph.report.end_phase("port");
  return {};
}

Status load_text(Graph& graph, const ServeConfig& config) {
  graph.server->set_progress("reading the tokenizer", 0.1);
  HADAL_ASSIGN_OR_RETURN(graph.tokenizer, Tokenizer::load(config.model));
  std::optional<ChatFormatKind> kind;
  if (config.chat_format != "auto") {
    HADAL_ASSIGN_OR_RETURN(kind, parse_chat_format_name(config.chat_format));
  }
  auto chat_format = ChatFormat::create(*graph.tokenizer, kind);
  if (!chat_format) {
    Error error = chat_format.error();
    error.message += "; --chat-format NAME chooses one";
    return error;
  }
  graph.chat_format = std::move(chat_format).value();
  graph.report.end_phase("tokenizer");
  return {};
}

Status make_runner(Graph& graph, const Checkpoint& checkpoint, const ServeConfig& config) {
  graph.server->set_progress("loading the weights", 0.3);
  HADAL_ASSIGN_OR_RETURN(
      graph.runner,
      make_cpu_runner(checkpoint, {.slots = config.limits.max_num_seqs,
                                   .query_tokens_max = config.limits.max_num_batched_tokens,
                                   .max_model_len = config.limits.max_model_len,
                                   .drafts_max = config.num_speculative_tokens,
                                   .kv_bytes = config.kv_cache_memory_bytes,
                                   .threads = config.threads}));
  graph.report.end_phase("weights");
  return {};
}

// The longest prompt plus output that neither the pages nor a page table refuses.
int max_model_len(const RunnerInfo& info, int drafts, const Limits& limits) {
  const int64_t pages = info.pages_total - 1;  // without the trash page
  const int64_t fits = std::min(int64_t{info.positions_max}, pages * kPageTokens) - 2 * drafts;
  const int64_t allowed = limits.max_model_len > 0 ? limits.max_model_len : fits;
  return static_cast<int>(std::min(fits, allowed));
}

Status open(Graph& graph, const Checkpoint& checkpoint, const ServeConfig& config,
            EndWatch& end_watch) {
  HADAL_ASSIGN_OR_RETURN(const auto markers, ReasoningMarkers::find(*graph.tokenizer));
  graph.engine = Engine::create({.limits = config.limits,
                                 .drafts = config.num_speculative_tokens,
                                 .steps_in_flight_max = config.async_scheduling ? 2 : 1,
                                 .explain = config.explain},
                                *graph.runner, graph.server->sink(), graph.clock);
  graph.engine->set_on_failure([&end_watch](const Error& error) {
    log().error("the engine has failed: {}", printable(error.message));
    end_watch.report_failure();
  });
  graph.engine->start();
  const GenerationDefaults& defaults = checkpoint.generation_defaults();
  graph.server->open({.engine = *graph.engine,
                      .tokenizer = *graph.tokenizer,
                      .chat_format = *graph.chat_format,
                      .reasoning_markers = markers,
                      .sampling_defaults = {.temperature = defaults.temperature,
                                            .top_p = defaults.top_p,
                                            .top_k = defaults.top_k},
                      .eos_token_id = checkpoint.spec().eos_token_id,
                      .vocab_size = checkpoint.spec().vocab_size,
                      .max_model_len = max_model_len(
                          graph.runner->info(), config.num_speculative_tokens, config.limits)});
  graph.report.end_phase("engine");
  return {};
}

Status start(Graph& graph, const ServeConfig& config, const std::string& version,
             EndWatch& end_watch) {
  HADAL_RETURN_IF_ERROR(listen(graph, config, version));
  graph.server->set_progress("reading the checkpoint", 0);
  HADAL_ASSIGN_OR_RETURN(const Checkpoint checkpoint, Checkpoint::open(config.model));
  graph.report.end_phase("checkpoint");
  HADAL_RETURN_IF_ERROR(load_text(graph, config));
  HADAL_RETURN_IF_ERROR(make_runner(graph, checkpoint, config));
  HADAL_RETURN_IF_ERROR(checkpoint.check_unchanged());
  return open(graph, checkpoint, config, end_watch);
}

// For the person who started it; standard error is the log's.
void print_ready(const Graph& graph, const ServeConfig& config, const std::string& version) {
  constexpr double kMiB = 1 << 20;
  const CpuRunnerMemory memory = graph.runner->memory();
  const RunnerInfo& info = graph.runner->info();
  std::cout << fmt::format(
                   "hadal {} serves {} at http://{}:{}\n{}\n"
                   "weights {:.0f} MiB, KV cache {:.0f} MiB ({} tokens), scratch {:.0f} MiB; "
                   "{} scheduling, {}\n",
                   version, printable(config.model), config.host, graph.server->port(),
                   graph.report.text(), static_cast<double>(memory.weight_bytes) / kMiB,
                   static_cast<double>(memory.kv_bytes) / kMiB,
                   int64_t{info.pages_total - 1} * kPageTokens,
                   static_cast<double>(memory.scratch_bytes) / kMiB,
                   config.async_scheduling ? "asynchronous" : "synchronous",
                   config.num_speculative_tokens > 0
                       ? fmt::format("{} drafts a step", config.num_speculative_tokens)
                       : "no speculation")
            << std::flush;
}

}  // namespace

int run_serve(const ServeConfig& config, const std::string& version) {
  configure_logging(config.log_level);
  // A vanished client is an error of its write, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  EndWatch end_watch;
  Graph graph;
  if (const Status status = start(graph, config, version, end_watch); !status) {
    std::cerr << fmt::format("hadal: error: {}\n", status.error().message);
    return 2;
  }
  print_ready(graph, config, version);
  const EndCause cause = end_watch.wait();
  end_watch.let_signals_kill();
  if (cause == EndCause::kFailure) {
    graph.server->set_failed();
    graph.stop(Duration::zero());
    return 1;
  }
  std::cout << "draining; a second signal ends at once\n" << std::flush;
  graph.stop(std::chrono::seconds(config.shutdown_timeout_s));
  return 0;
}

}  // namespace hadal
