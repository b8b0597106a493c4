#include "text/chat_template_features.h"

#include <algorithm>
#include <cctype>
#include <initializer_list>

namespace hadal {
namespace {

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}
bool is_name_char(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

// `text` without blanks at its ends, as a literal.
std::string literal_of(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  if (text.empty()) return {};
  std::string literal = "'";
  for (const char c : text) literal += c == '\n' ? std::string("\\n") : std::string(1, c);
  return literal + "'";
}

// Where the tag that starts at `begin` ends, behind its closing delimiter. A delimiter inside a
// literal does not count; a tag without one ends with the template.
size_t end_of_tag(std::string_view source, size_t begin) {
  const char kind = source[begin + 1];
  const char closing = kind == '{' ? '}' : kind;
  char quote = '\0';
  for (size_t i = begin + 2; i + 1 < source.size(); ++i) {
    if (quote != '\0') {
      if (source[i] == '\\') {
        ++i;
      } else if (source[i] == quote) {
        quote = '\0';
      }
    } else if (kind != '#' && (source[i] == '\'' || source[i] == '"')) {
      quote = source[i];
    } else if (source[i] == closing && source[i + 1] == '}') {
      return i + 2;
    }
  }
  return source.size();
}

// The inside of a tag: blanks outside literals dropped, literals in single quotes.
std::string normalise_expression(std::string_view inside) {
  std::string result;
  char quote = '\0';
  for (size_t i = 0; i < inside.size(); ++i) {
    const char c = inside[i];
    if (quote != '\0' && c == '\\' && i + 1 < inside.size()) {
      result += c;
      result += inside[++i];
    } else if (quote != '\0' && c != quote) {
      result += c == '\n' ? std::string("\\n") : std::string(1, c);
    } else if (c == '\'' || c == '"') {
      quote = quote == '\0' ? c : '\0';
      result += '\'';
    } else if (!is_blank(c)) {
      result += c == '~' ? '+' : c;
    }
  }
  return result;
}

// x['name'] → x.name
std::string with_dots(std::string_view expression) {
  std::string result;
  for (size_t i = 0; i < expression.size(); ++i) {
    size_t end = i + 2;
    while (end < expression.size() && is_name_char(expression[end])) ++end;
    const bool subscript =
        expression.substr(i, 2) == "['" && end > i + 2 && expression.substr(end, 2) == "']";
    if (subscript) {
      result += '.';
      result += expression.substr(i + 2, end - i - 2);
      i = end + 1;
    } else {
      result += expression[i];
    }
  }
  return result;
}

void append_item(std::vector<TemplateItem>& items, bool is_output, std::string source) {
  if (source.empty()) return;
  if (is_output && !items.empty() && items.back().is_output) {
    items.back().source += "+" + source;
  } else {
    items.push_back({is_output, std::move(source)});
  }
}

std::string_view without_trim_marks(std::string_view inside) {
  const auto is_mark = [](char c) { return c == '-' || c == '+'; };
  if (!inside.empty() && is_mark(inside.front())) inside.remove_prefix(1);
  if (!inside.empty() && is_mark(inside.back())) inside.remove_suffix(1);
  return inside;
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// Whether the parts occur one after the other.
bool in_order(std::string_view text, std::initializer_list<std::string_view> parts) {
  size_t from = 0;
  for (const std::string_view part : parts) {
    from = text.find(part, from);
    if (from == std::string_view::npos) return false;
    from += part.size();
  }
  return true;
}

using Items = std::vector<TemplateItem>;

std::string joined(const Items& items) {
  std::string text;
  for (const TemplateItem& item : items) text += item.source + "\n";
  return text;
}

bool any_output(const Items& items, std::initializer_list<std::string_view> parts) {
  return std::ranges::any_of(items, [&](const TemplateItem& item) {
    return item.is_output && in_order(item.source, parts);
  });
}

bool starts_with_bos(const Items& items) {
  const std::string text = joined(items);
  return contains(text, "bos_token") || contains(text, "<｜begin▁of▁sentence｜>");
}

bool joins_system_messages(const Items& items) {
  return in_order(joined(items), {"=='system'", "\\n\\n"});
}

bool user_turn_opens_assistant_turn(const Items& items) {
  return any_output(items, {"<｜User｜>", "content", "<｜Assistant｜>"});
}

bool drops_earlier_reasoning(const Items& items) {
  const std::string text = joined(items);
  return contains(text, ".split('</think>')[-1]") || contains(text, ".split('</think>')|last");
}

bool ends_turns_with_eos(const Items& items) {
  return any_output(items, {"eos_token"}) || any_output(items, {"<｜end▁of▁sentence｜>"});
}

bool writes_calls(const Items& items) {
  return in_order(joined(items), {"<｜tool▁call▁begin｜>", ".type", "<｜tool▁sep｜>", ".name",
                                  "```json", "```", "<｜tool▁call▁end｜>"});
}

bool wraps_calls(const Items& items) {
  return any_output(items, {"<｜tool▁calls▁begin｜>"}) &&
         any_output(items, {"<｜tool▁calls▁end｜>"});
}

bool wraps_results(const Items& items) {
  return any_output(items, {"<｜tool▁outputs▁begin｜>"}) &&
         any_output(items, {"<｜tool▁output▁begin｜>", "<｜tool▁output▁end｜>"}) &&
         any_output(items, {"<｜tool▁outputs▁end｜>"});
}

bool prompts_only_where_no_turn_is_open(const Items& items) {
  for (size_t i = 0; i + 1 < items.size(); ++i) {
    const bool condition =
        !items[i].is_output && in_order(items[i].source, {"add_generation_prompt", "andnot"});
    if (condition && items[i + 1].is_output && items[i + 1].source == "'<｜Assistant｜>'")
      return true;
  }
  return false;
}

bool leaves_think_to_the_model(const Items& items) {
  return !contains(joined(items), "<think>");
}

struct Feature {
  std::string_view phrase;
  bool (*holds)(const Items&);
};

constexpr Feature kR10528Features[] = {
    {"start with BOS", starts_with_bos},
    {"join system messages by a blank line", joins_system_messages},
    {"write <｜User｜>content<｜Assistant｜> for a user turn", user_turn_opens_assistant_turn},
    {"show assistant turns without their reasoning", drops_earlier_reasoning},
    {"end assistant turns with EOS", ends_turns_with_eos},
    {"write calls as type<｜tool▁sep｜>name with a json fence", writes_calls},
    {"wrap calls in <｜tool▁calls▁begin｜> and <｜tool▁calls▁end｜>", wraps_calls},
    {"wrap tool results in <｜tool▁outputs▁begin｜> and <｜tool▁outputs▁end｜>", wraps_results},
    {"add <｜Assistant｜> as generation prompt only where no assistant turn is open",
     prompts_only_where_no_turn_is_open},
    {"leave <think> to the model", leaves_think_to_the_model},
};

}  // namespace

std::vector<TemplateItem> normalise_chat_template(std::string_view source) {
  Items items;
  size_t at = 0;
  while (at < source.size()) {
    size_t tag = source.find('{', at);
    while (tag != std::string_view::npos && tag + 1 < source.size() &&
           !contains("{%#", source.substr(tag + 1, 1))) {
      tag = source.find('{', tag + 1);
    }
    if (tag == std::string_view::npos || tag + 1 >= source.size()) tag = source.size();
    append_item(items, true, literal_of(source.substr(at, tag - at)));
    if (tag == source.size()) break;
    at = end_of_tag(source, tag);
    if (source[tag + 1] == '#' || at - tag < 4) continue;
    const std::string_view inside = without_trim_marks(source.substr(tag + 2, at - tag - 4));
    append_item(items, source[tag + 1] == '{', with_dots(normalise_expression(inside)));
  }
  return items;
}

std::vector<std::string_view> missing_r1_0528_features(const std::vector<TemplateItem>& items) {
  std::vector<std::string_view> missing;
  for (const Feature& feature : kR10528Features) {
    if (!feature.holds(items)) missing.push_back(feature.phrase);
  }
  return missing;
}

}  // namespace hadal
