// Speed of the text module: loading a tokenizer, text → tokens, tokens → text.
#include <benchmark/benchmark.h>

#include <random>
#include <string>
#include <unordered_set>
#include <vector>

#include "hadal/text/detokenizer.h"
#include "hadal/text/tokenizer.h"
#include "text/tokenizer_files.h"

namespace hadal {
namespace {

// A tokenizer.json of R1's size: 128,000 tokens, 127,741 merges, 815 added tokens. The merges are
// random; what is measured (look-ups in a table of that size) is not.
const TokenizerFiles& r1_sized_files() {
  static const TokenizerFiles files = [] {
    constexpr size_t kVocab = 128'000;
    constexpr size_t kBytesMax = 16;
    std::mt19937 random(1);
    nlohmann::json root = test::bytes_only_json();
    std::vector<std::string> tokens;
    std::unordered_set<std::string> known;
    for (const auto& [token, id] : root["model"]["vocab"].items()) {
      tokens.push_back(token);
      known.insert(token);
    }
    while (known.size() < kVocab) {
      const std::string left = tokens[random() % tokens.size()];
      const std::string right = tokens[random() % tokens.size()];
      if (left.size() + right.size() > kBytesMax || !known.insert(left + right).second) continue;
      root["model"]["merges"].push_back(left + " " + right);
      root["model"]["vocab"][left + right] = tokens.size();
      tokens.push_back(left + right);
    }
    for (size_t i = 0; i < 815; ++i) test::add_token(root, "<｜" + std::to_string(i) + "｜>");
    return test::files_of(root);
  }();
  return files;
}

std::string repeated(std::string_view text, size_t bytes) {
  std::string result;
  while (result.size() < bytes) result += text;
  return result;
}

constexpr size_t kMebibyte = size_t{1} << 20;

// The bundled model's kind of text: its held-out problems.
std::string prose() {
  return repeated(test::read_text("tests/eval/arith_hard.jsonl"), kMebibyte);
}

void load_tiny_r1(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(Tokenizer::load(HADAL_SOURCE_DIR "/tests/models/tiny-r1").ok());
  }
}
BENCHMARK(load_tiny_r1)->Unit(benchmark::kMillisecond);

void load_r1_sized(benchmark::State& state) {
  const TokenizerFiles& files = r1_sized_files();
  for (auto _ : state) benchmark::DoNotOptimize(Tokenizer::parse(files).ok());
  state.counters["file_bytes"] = static_cast<double>(files.tokenizer_json.size());
}
BENCHMARK(load_r1_sized)->Unit(benchmark::kMillisecond);

void encode(benchmark::State& state, const Tokenizer& tokenizer, const std::string& text,
            bool parse_special) {
  size_t tokens = 0;
  for (auto _ : state) {
    tokens = tokenizer.encode(text, {.parse_special = parse_special}).value().size();
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * text.size()));
  state.counters["bytes_per_token"] =
      static_cast<double>(text.size()) / static_cast<double>(tokens);
}

void encode_prose(benchmark::State& state) {
  encode(state, test::tiny_r1(), prose(), false);
}
BENCHMARK(encode_prose)->Unit(benchmark::kMillisecond);

void encode_prose_parsing_special(benchmark::State& state) {
  encode(state, test::tiny_r1(), prose(), true);
}
BENCHMARK(encode_prose_parsing_special)->Unit(benchmark::kMillisecond);

void encode_prose_r1_sized(benchmark::State& state) {
  static const Tokenizer tokenizer = Tokenizer::parse(r1_sized_files()).value();
  encode(state, tokenizer, prose(), false);
}
BENCHMARK(encode_prose_r1_sized)->Unit(benchmark::kMillisecond);

void encode_chinese(benchmark::State& state) {
  encode(state, test::tiny_r1(),
         repeated("深度求索公司创造了这个模型。今天是星期二，天气很好！", kMebibyte), false);
}
BENCHMARK(encode_chinese)->Unit(benchmark::kMillisecond);

// One piece, merged pair by pair all the way.
void encode_one_letter(benchmark::State& state) {
  static const Tokenizer tokenizer = [] {
    nlohmann::json root = test::bytes_only_json();
    for (std::string run = "a"; run.size() < 64; run += run) test::add_merge(root, run, run);
    return Tokenizer::parse(test::files_of(root)).value();
  }();
  encode(state, tokenizer, std::string(kMebibyte, 'a'), false);
}
BENCHMARK(encode_one_letter)->Unit(benchmark::kMillisecond);

void decode_stream(benchmark::State& state) {
  const std::vector<TokenId> tokens = test::tiny_r1().encode(prose(), {}).value();
  for (auto _ : state) {
    Detokenizer detokenizer(test::tiny_r1(), true);
    std::string text;
    for (const TokenId token : tokens) detokenizer.append(token, text);
    benchmark::DoNotOptimize(text);
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * tokens.size()));
}
BENCHMARK(decode_stream)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace hadal
