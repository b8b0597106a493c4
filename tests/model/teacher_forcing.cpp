#include "model/teacher_forcing.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <sstream>

#include "hadal/text/chat_format.h"
#include "hadal/text/tokenizer.h"
#include "support/sequence_rig.h"
#include "support/temp_folder.h"
#include "support/tiny_models.h"

namespace hadal::test {
namespace {

using nlohmann::json;

constexpr const char* kSets[] = {"arith_easy", "arith_medium", "arith_hard", "arith_extreme",
                                 "chat",       "multiturn",    "smalltalk",  "tools"};
constexpr int kPositions = 1024;  // the longest item has fewer

ChatMessage parse_message(const json& message) {
  const std::string role = message.at("role");
  ChatMessage parsed;
  parsed.role = role == "system"      ? ChatRole::kSystem
                : role == "assistant" ? ChatRole::kAssistant
                : role == "tool"      ? ChatRole::kTool
                                      : ChatRole::kUser;
  if (message.at("content").is_string()) parsed.content = message.at("content");
  if (message.contains("tool_calls")) {
    for (const json& call : message.at("tool_calls")) {
      parsed.tool_calls.push_back({.type = call.at("type"),
                                   .name = call.at("function").at("name"),
                                   .arguments = call.at("function").at("arguments")});
    }
  }
  return parsed;
}

ForcedSequence parse_item(const json& item, const Tokenizer& tokenizer, const ChatFormat& format) {
  std::vector<ChatMessage> messages;
  for (const json& message : item.at("messages")) messages.push_back(parse_message(message));
  ForcedSequence sequence;
  sequence.ids = format.tokens(format.render(messages, /*add_generation_prompt=*/true)).value();
  sequence.prompt_tokens = sequence.ids.size();
  const std::string gold = item.at("gold_completion");
  const std::vector<TokenId> completion = tokenizer.encode(gold, {.parse_special = true}).value();
  sequence.ids.insert(sequence.ids.end(), completion.begin(), completion.end());
  sequence.ids.push_back(1);  // end of sentence
  return sequence;
}

// Logits of the rows that predict the completion.
std::vector<float> completion_logits(const Model& model, const ForcedSequence& sequence) {
  SequenceRig rig(model, kPositions);
  // The last token predicts nothing.
  const auto inputs = std::span(sequence.ids).first(sequence.ids.size() - 1);
  const std::vector<float> hidden = rig.forward(inputs, 0);
  const size_t first = (sequence.prompt_tokens - 1) * static_cast<size_t>(rig.hidden_size());
  return rig.logits(std::span(hidden).subspan(first));
}

struct LogSoftmax {
  explicit LogSoftmax(std::span<const float> row)
      : logits(row), top(std::max_element(row.begin(), row.end()) - row.begin()) {
    const double largest = row[static_cast<size_t>(top)];
    double sum = 0.0;
    for (const float logit : row) sum += std::exp(logit - largest);
    log_sum = largest + std::log(sum);
  }
  double operator[](size_t i) const { return logits[i] - log_sum; }

  std::span<const float> logits;
  std::ptrdiff_t top;
  double log_sum = 0.0;
};

void add_rows(const std::vector<float>& base, const std::vector<float>& model, size_t vocab,
              Divergence& total) {
  for (size_t at = 0; at < base.size(); at += vocab) {
    const LogSoftmax p{std::span<const float>(base).subspan(at, vocab)};
    const LogSoftmax q{std::span<const float>(model).subspan(at, vocab)};
    for (size_t i = 0; i < vocab; ++i) total.kl_sum += std::exp(p[i]) * (p[i] - q[i]);
    total.top1_changes += p.top == q.top ? 0 : 1;
    ++total.tokens;
  }
}

}  // namespace

std::vector<ForcedSequence> gold_completions(int stride) {
  const Tokenizer tokenizer = Tokenizer::load(tiny_r1_folder("fp8")).value();
  const ChatFormat format = ChatFormat::create(tokenizer).value();
  std::vector<ForcedSequence> sequences;
  for (const char* set : kSets) {
    std::istringstream lines(read_file(std::filesystem::path(HADAL_SOURCE_DIR) / "tests/eval" /
                                       (std::string(set) + ".jsonl")));
    std::string line;
    for (int i = 0; std::getline(lines, line); ++i) {
      if (i % stride == 0) sequences.push_back(parse_item(json::parse(line), tokenizer, format));
    }
  }
  return sequences;
}

std::vector<Divergence> divergences(const Model& base, const std::vector<const Model*>& models,
                                    const std::vector<ForcedSequence>& sequences) {
  const auto vocab = static_cast<size_t>(base.spec().vocab_size);
  std::vector<Divergence> totals(models.size());
  for (const ForcedSequence& sequence : sequences) {
    const std::vector<float> wanted = completion_logits(base, sequence);
    for (size_t m = 0; m < models.size(); ++m) {
      add_rows(wanted, completion_logits(*models[m], sequence), vocab, totals[m]);
    }
  }
  return totals;
}

}  // namespace hadal::test
