// What a Jinja chat template does, read off its source without running it.
//
// The template is first brought into a normal form: a list of statements and outputs in which
//   - comments, blanks outside string literals and blank text between tags are gone,
//   - literals have single quotes, line breaks in them are spelled \n,
//   - x['name'] is x.name, ~ is +, and text between tags is a literal,
//   - outputs that follow each other are one, joined by +.
// A feature is then a property of that list.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hadal {

struct TemplateItem {
  bool is_output = false;  // {{ … }} or text between tags; else {% … %}
  std::string source;
};

std::vector<TemplateItem> normalise_chat_template(std::string_view source);

// The features of deepseek-r1-0528 that the template lacks, each as a phrase that completes
// "it does not …". Empty: it is that format.
std::vector<std::string_view> missing_r1_0528_features(const std::vector<TemplateItem>& items);

}  // namespace hadal
