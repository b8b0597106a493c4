// Every bound of the process in one place. Each is a flag of the same name with dashes, has a
// default that a test meets, and is tested at the limit and one above.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hadal {

inline constexpr int kPageTokens = 64;       // tokens a KV page, all formats, all layers
inline constexpr int kDraftsMax = 7;         // K; 8 query tokens is the attention kernels' limit
inline constexpr int kStopTokenIdsMax = 16;  // stop_token_ids of one request, EOS not counted
inline constexpr int kStopStringsMax = 4;

struct Limits {
  int max_num_seqs = 256;             // sequences running at once = slots on the device
  int max_num_batched_tokens = 2048;  // query tokens of one step
  int max_model_len = 0;  // prompt + output of one sequence; 0: from the model and the pages
  int requests_queued_max = 1024;       // waiting requests; one more gets 429
  int64_t tokens_queued_max = 4 << 20;  // prompt tokens of the waiting requests
  int streams_max = 1024;               // HTTP requests being generated at once
  int connections_max = 2048;           // HTTP worker threads, health and metrics included
  int output_events_queued_max = 4096;  // per request, between engine and its HTTP worker
  size_t body_bytes_max = 16u << 20;
  int json_depth_max = 64;
  int choices_max = 64;  // n of one request
};

}  // namespace hadal
