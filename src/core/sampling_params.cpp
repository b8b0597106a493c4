#include "hadal/core/sampling_params.h"

#include <fmt/format.h>

#include <cmath>

#include "hadal/core/limits.h"

namespace hadal {
namespace {

template <typename T>
Error refuse(const char* param, const char* wanted, T found) {
  return {ErrorCode::kInvalidArgument, fmt::format("{} must be {}, got {}.", param, wanted, found),
          param};
}

}  // namespace

Status validate(const SamplingParams& p, int vocab_size) {
  if (!std::isfinite(p.temperature) || p.temperature < 0.0F || p.temperature > 2.0F) {
    return refuse("temperature", "in [0, 2]", p.temperature);
  }
  if (!(p.top_p > 0.0F && p.top_p <= 1.0F)) return refuse("top_p", "in (0, 1]", p.top_p);
  if (p.top_k < 0) return refuse("top_k", "-1 or 0 (off) or at least 1", p.top_k);
  if (p.max_tokens < 1) return refuse("max_tokens", "at least 1", p.max_tokens);
  if (p.stop_token_ids.size() > static_cast<size_t>(kStopTokenIdsMax)) {
    return refuse("stop_token_ids", fmt::format("at most {} ids", kStopTokenIdsMax).c_str(),
                  p.stop_token_ids.size());
  }
  for (const TokenId id : p.stop_token_ids) {
    if (id < 0 || id >= vocab_size) {
      return refuse("stop_token_ids", fmt::format("ids in [0, {}]", vocab_size - 1).c_str(), id);
    }
  }
  return {};
}

}  // namespace hadal
