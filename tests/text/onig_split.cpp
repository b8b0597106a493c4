#include "text/onig_split.h"

#include <oniguruma.h>

#include "hadal/base/check.h"

namespace hadal::test {
namespace {

const OnigUChar* bytes_of(const char* text) {
  return reinterpret_cast<const OnigUChar*>(text);
}

}  // namespace

OnigSplit::OnigSplit(const std::string& pattern) : region_(onig_region_new()) {
  const char* begin = pattern.data();
  regex_t* regex = nullptr;
  OnigErrorInfo info;
  const int result = onig_new(&regex, bytes_of(begin), bytes_of(begin + pattern.size()),
                              ONIG_OPTION_NONE, ONIG_ENCODING_UTF8, ONIG_SYNTAX_ONIGURUMA, &info);
  HADAL_CHECK(result == ONIG_NORMAL, "Oniguruma refuses {}", pattern);
  regex_ = regex;
}

OnigSplit::~OnigSplit() {
  onig_region_free(static_cast<OnigRegion*>(region_), 1);
  onig_free(static_cast<regex_t*>(regex_));
}

void OnigSplit::apply(std::string_view text, std::vector<std::string_view>& out) const {
  auto* region = static_cast<OnigRegion*>(region_);
  const OnigUChar* begin = bytes_of(text.data());
  const OnigUChar* end = begin + text.size();
  size_t done = 0;
  while (done < text.size()) {
    const int found =
        onig_search(static_cast<regex_t*>(regex_), begin, end, begin + done, end, region, 0);
    if (found < 0) break;
    const auto match_begin = static_cast<size_t>(region->beg[0]);
    const auto match_end = static_cast<size_t>(region->end[0]);
    if (match_begin > done) out.push_back(text.substr(done, match_begin - done));
    out.push_back(text.substr(match_begin, match_end - match_begin));
    done = match_end;
  }
  if (done < text.size()) out.push_back(text.substr(done));
}

}  // namespace hadal::test
