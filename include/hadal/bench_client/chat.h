// `hadal chat`: a conversation in the terminal with any server that speaks OpenAI's API.
#pragma once

#include <optional>
#include <string>

namespace hadal {

struct ChatOptions {
  std::string url;     // http://host[:port]
  std::string model;   // empty: the server's first
  std::string system;  // empty: none
  int max_tokens = 0;  // 0: the server's choice
  std::optional<double> temperature;
};

// Reads questions from standard input until /quit or its end and streams the answers to standard
// output, reasoning dimmed on a terminal. Ctrl-C stops an answer, or at the prompt the program.
// Returns the exit code: 0, or 1 when the last question was not answered, or 2 when the server
// cannot be spoken to at all.
int run_chat(const ChatOptions& options);

}  // namespace hadal
