// tests/golden/tokenizer_vectors.json: ids made by the Hugging Face tokenizers library.
#include <gtest/gtest.h>

#include "hadal/text/detokenizer.h"
#include "text/tokenizer_files.h"

namespace hadal {
namespace {

TEST(TokenizerGolden, EncodesAndDecodesEveryVector) {
  const nlohmann::json golden = test::read_json("tests/golden/tokenizer_vectors.json");
  ASSERT_EQ(golden["cases"].size(), 300u);
  const Tokenizer& tokenizer = test::tiny_r1();
  for (const nlohmann::json& vector : golden["cases"]) {
    const auto text = vector["text"].get<std::string>();
    const auto want = vector["ids"].get<std::vector<TokenId>>();
    SCOPED_TRACE(vector["text"].dump());
    const auto ids = tokenizer.encode(text, {.add_bos = false, .parse_special = true});
    ASSERT_TRUE(ids.ok());
    EXPECT_EQ(*ids, want);
    EXPECT_EQ(decode(tokenizer, want, false), text);
    EXPECT_EQ(decode(tokenizer, want, true), vector["decoded_skip_special"].get<std::string>());
  }
}

}  // namespace
}  // namespace hadal
