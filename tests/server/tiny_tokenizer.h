// The bundled model's tokenizer, loaded once.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "hadal/text/tokenizer.h"

namespace hadal {

inline const Tokenizer& tiny_tokenizer() {
  static const Tokenizer tokenizer = [] {
    auto loaded = Tokenizer::load(std::string(HADAL_SOURCE_DIR) + "/tests/models/tiny-r1");
    EXPECT_TRUE(loaded.ok()) << loaded.error().message;
    return std::move(loaded).value();
  }();
  return tokenizer;
}

inline std::vector<TokenId> tokens_of(const std::string& text) {
  auto tokens = tiny_tokenizer().encode(text, {.parse_special = true});
  EXPECT_TRUE(tokens.ok());
  return std::move(tokens).value();
}

}  // namespace hadal
