#include "text/chat_template_features.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hadal/text/chat_format.h"
#include "text/tokenizer_files.h"

namespace hadal {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  EXPECT_NE(text.find(from), std::string::npos) << from;
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
  return text;
}

std::vector<std::string_view> missing(const std::string& chat_template) {
  return missing_r1_0528_features(normalise_chat_template(chat_template));
}

const std::string& tiny_r1_template() {
  return test::tiny_r1().config().chat_template;
}

std::vector<std::string> normalised(const std::string& source) {
  std::vector<std::string> lines;
  for (const TemplateItem& item : normalise_chat_template(source)) {
    lines.push_back((item.is_output ? "{{" : "{%") + item.source);
  }
  return lines;
}

TEST(NormaliseChatTemplate, DropsWhatHasNoMeaning) {
  EXPECT_THAT(
      normalised("{%- if  a   and b -%}\n  {# why {{ not }} #}\n{{ x [\"y\"] ~ \"a 'b\\n\" }}\n"),
      ElementsAre("{%ifaandb", "{{x.y+'a 'b\\n'"));
}

TEST(NormaliseChatTemplate, TextBetweenTagsIsAnOutput) {
  EXPECT_THAT(normalised("<a>{{ x }}<b>\n{% endif %} c\nd "),
              ElementsAre("{{'<a>'+x+'<b>'", "{%endif", "{{'c\\nd'"));
}

TEST(NormaliseChatTemplate, DelimitersInLiteralsEndNothing) {
  EXPECT_THAT(normalised("{{ '}}' + '%}' }}{% set x = '\\'}' %}"),
              ElementsAre("{{'}}'+'%}'", "{%setx='\\'}'"));
}

TEST(NormaliseChatTemplate, TakesAnyText) {
  for (const char* text : {"", "{", "{{", "{%", "{{ ", "{{}}", "{%%}", "{{ 'a", "a{", "{{-}}", "{#",
                           "x['", "{{x['", "{{x['a']", "{{ '\\"}) {
    normalise_chat_template(text);
  }
}

TEST(ChatTemplate, TheBundledOneIsRecognised) {
  EXPECT_THAT(missing(tiny_r1_template()), ElementsAre());
  EXPECT_TRUE(recognise_chat_template(tiny_r1_template()).ok());
}

TEST(ChatTemplate, SpellingDoesNotMatter) {
  std::string other = tiny_r1_template();
  other = replaced(other, "'", "\"");
  other = replaced(other, "-%}{%-", "%}\n\n{# next #}\n  {%");
  other = replaced(other, "{{-", "{{ ");
  other = replaced(other, " + ", " ~ ");
  other = replaced(other, "m[\"content\"]", "m.content");
  other = replaced(other, "last_user", "user_was_last");
  other = replaced(other, "outputs_open", "in_tools");
  other = replaced(other, "<｜User｜>\" ~ content ~ \"<｜Assistant｜>\"",
                   "<｜User｜>\" }}{{ content }}{{ \"<｜Assistant｜>\"");
  EXPECT_NE(other, tiny_r1_template());
  EXPECT_THAT(missing(other), ElementsAre());
}

// The same behaviour built another way: one `if` per role, calls with their first one apart.
const std::string kOtherConstruction = R"(
{% set ns = namespace(sp='', first_sp=true, tool=false, first=true, first_out=true, user=false) %}
{% for message in messages %}{% if message['role'] == 'system' %}{% if ns.first_sp %}
{% set ns.sp = message['content'] %}{% set ns.first_sp = false %}{% else %}
{% set ns.sp = ns.sp + '\n\n' + message['content'] %}{% endif %}{% endif %}{% endfor %}
{{ bos_token }}{{ ns.sp }}
{% for message in messages %}{% set content = message['content'] %}
{% if message['role'] == 'user' %}{% set ns.user = true %}
{{ '<｜User｜>' + content + '<｜Assistant｜>' }}{% endif %}
{% if message['role'] == 'assistant' and '</think>' in content %}
{% set content = content.split('</think>')[-1] %}{% endif %}
{% if message['role'] == 'assistant' and message['tool_calls'] %}{% set ns.user = false %}
{% if ns.tool %}{{ '<｜tool▁outputs▁end｜>' }}{% endif %}
{% for tool in message['tool_calls'] %}{% if ns.first %}
{{ content + '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>' + tool['type'] + '<｜tool▁sep｜>' +
   tool['function']['name'] + '\n```json\n' + tool['function']['arguments'] + '\n```<｜tool▁call▁end｜>' }}
{% else %}{{ '\n<｜tool▁call▁begin｜>' + tool['type'] + '<｜tool▁sep｜>' + tool['function']['name'] +
   '\n```json\n' + tool['function']['arguments'] + '\n```<｜tool▁call▁end｜>' }}{% endif %}{% endfor %}
{{ '<｜tool▁calls▁end｜><｜end▁of▁sentence｜>' }}{% endif %}
{% if message['role'] == 'assistant' and not message['tool_calls'] %}{% set ns.user = false %}
{% if ns.tool %}{{ '<｜tool▁outputs▁end｜>' }}{% endif %}{{ content + '<｜end▁of▁sentence｜>' }}{% endif %}
{% if message['role'] == 'tool' %}{% if ns.first_out %}
{{ '<｜tool▁outputs▁begin｜><｜tool▁output▁begin｜>' + content + '<｜tool▁output▁end｜>' }}{% else %}
{{ '\n<｜tool▁output▁begin｜>' + content + '<｜tool▁output▁end｜>' }}{% endif %}{% endif %}{% endfor %}
{% if ns.tool %}{{ '<｜tool▁outputs▁end｜>' }}{% endif %}
{% if add_generation_prompt and not ns.user and not ns.tool %}{{ '<｜Assistant｜>' }}{% endif %})";

TEST(ChatTemplate, AnotherConstructionOfTheSameFormatIsRecognised) {
  EXPECT_THAT(missing(kOtherConstruction), ElementsAre());
}

struct Mutation {
  std::string from;
  std::string to;
  std::string phrase;
};

// Each takes one behaviour away and is noticed as that one.
TEST(ChatTemplate, EveryFeatureIsRequired) {
  const Mutation mutations[] = {
      {"{{ bos_token }}", "", "start with BOS"},
      {"ns.sp + '\\n\\n' + message", "message", "join system messages by a blank line"},
      {"{{ '<｜User｜>' + content + '<｜Assistant｜>' }}", "{{ '<｜User｜>' + content }}",
       "write <｜User｜>content<｜Assistant｜> for a user turn"},
      {"{% set content = content.split('</think>')[-1] %}", "",
       "show assistant turns without their reasoning"},
      {"<｜end▁of▁sentence｜>", "", "end assistant turns with EOS"},
      {"\\n```json\\n", "", "write calls as type<｜tool▁sep｜>name with a json fence"},
      {"<｜tool▁calls▁end｜>", "", "wrap calls in <｜tool▁calls▁begin｜> and <｜tool▁calls▁end｜>"},
      {"<｜tool▁outputs▁begin｜>", "",
       "wrap tool results in <｜tool▁outputs▁begin｜> and <｜tool▁outputs▁end｜>"},
      {"and not ns.user and not ns.tool", "",
       "add <｜Assistant｜> as generation prompt only where no assistant turn is open"},
      {"{{ ns.sp }}", "{{ ns.sp }}{% if x %}{{ '<think>' }}{% endif %}",
       "leave <think> to the model"},
  };
  for (const Mutation& mutation : mutations) {
    EXPECT_THAT(missing(replaced(kOtherConstruction, mutation.from, mutation.to)),
                ElementsAre(mutation.phrase));
  }
}

TEST(ChatTemplate, RelatedFormatsAreRefused) {
  // R1 of February 2025: the Assistant marker belongs to the assistant's turn, <think> is
  // prefilled.
  std::string february = replaced(kOtherConstruction, " + '<｜Assistant｜>' }}{% endif %}\n{% if",
                                  " }}{% endif %}\n{% if");
  february = replaced(february, "{{ content + '<｜end", "{{ '<｜Assistant｜>' + content + '<｜end");
  february = replaced(february, "and not ns.user and not ns.tool %}{{ '<｜Assistant｜>' }}",
                      "and not ns.tool %}{{ '<｜Assistant｜><think>\\n' }}");
  EXPECT_THAT(
      missing(february),
      ElementsAre("write <｜User｜>content<｜Assistant｜> for a user turn",
                  "add <｜Assistant｜> as generation prompt only where no assistant turn is "
                  "open",
                  "leave <think> to the model"));
  // V3.1: calls without type and fence, no wrapped results.
  const std::string v31 =
      R"({{ bos_token }}{% if m.role == 'system' %}{{ '\n\n' + m.content }}{% endif %}
{{ '<｜User｜>' + m.content }}{{ '<｜Assistant｜></think>' }}{% set c = c.split('</think>', 1)[1] %}
{{ '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>' + t.name + '<｜tool▁sep｜>' + t.arguments +
'<｜tool▁call▁end｜><｜tool▁calls▁end｜><｜end▁of▁sentence｜>' }})";
  EXPECT_THAT(missing(v31),
              testing::Contains("write calls as type<｜tool▁sep｜>name with a json fence"));
}

TEST(ChatTemplate, TheRefusalNamesWhatIsMissingAndWhatIsSupported) {
  const auto chatml = recognise_chat_template(
      "{{ bos_token }}{% for m in messages %}{{ '<|im_start|>' + m.role + m.content }}{% endfor "
      "%}");
  ASSERT_FALSE(chatml.ok());
  EXPECT_EQ(chatml.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(chatml.error().message, HasSubstr("(deepseek-r1-0528)"));
  EXPECT_THAT(chatml.error().message, HasSubstr("does not join system messages"));
  const auto none = recognise_chat_template("");
  ASSERT_FALSE(none.ok());
  EXPECT_THAT(none.error().message, HasSubstr("deepseek-r1-0528"));
}

}  // namespace
}  // namespace hadal
