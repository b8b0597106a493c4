#include "server/prompts.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "server/fake_engine.h"
#include "server/tiny_tokenizer.h"

namespace hadal {
namespace {

constexpr int kMaxModelLen = 64;

class PromptsTest : public ::testing::Test {
 protected:
  Result<std::vector<std::vector<TokenId>>> prompts_of(const ApiRequest& request) {
    return make_prompts(request, {.engine = engine_,
                                  .tokenizer = tiny_tokenizer(),
                                  .chat_format = chat_format_,
                                  .vocab_size = 2048,
                                  .max_model_len = kMaxModelLen});
  }

  static ApiRequest completion(TextOrTokens prompt) {
    return {.endpoint = Endpoint::kCompletions, .prompts = {std::move(prompt)}};
  }
  static ApiRequest chat(std::string content) {
    return {.messages = {{.role = ChatRole::kUser, .content = std::move(content)}}};
  }

  struct NoSink final : OutputSink {
    void deliver(const OutputEvent&) override {}
  };
  NoSink sink_;
  FakeEngine engine_{sink_};
  ChatFormat chat_format_ = ChatFormat::create(tiny_tokenizer()).value();
};

TEST_F(PromptsTest, TokensAreTakenAsTheyAre) {
  EXPECT_EQ(prompts_of(completion(std::vector<TokenId>{5, 6})).value()[0],
            (std::vector<TokenId>{5, 6}));
}

TEST_F(PromptsTest, ARawPromptMayWriteSpecialTokensAndAMessageMayNot) {
  const std::string text = "<think>";
  const TokenId think = *tiny_tokenizer().find_added_token(text);
  ApiRequest raw = completion(text);
  raw.add_special_tokens = false;
  EXPECT_EQ(prompts_of(raw).value()[0], std::vector<TokenId>{think});
  const auto message = prompts_of(chat(text)).value()[0];
  EXPECT_EQ(std::ranges::count(message, think), 0);
}

TEST_F(PromptsTest, APromptNeedsRoomForOneToken) {
  const auto of_length = [](int length) {
    return completion(std::vector<TokenId>(static_cast<size_t>(length), 5));
  };
  EXPECT_TRUE(prompts_of(of_length(kMaxModelLen - 1)).ok());
  const auto refused = prompts_of(of_length(kMaxModelLen));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(refused.error().param, "prompt");
}

TEST_F(PromptsTest, ATextThatCannotFitIsRefusedByItsLength) {
  const auto refused = prompts_of(chat(std::string(1 << 20, ' ')));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(refused.error().param, "messages");
  EXPECT_NE(refused.error().message.find("at least"), std::string::npos);
}

}  // namespace
}  // namespace hadal
