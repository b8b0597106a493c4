#include "checkpoint/bounded_json.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "hadal/base/log.h"

namespace hadal::checkpoint {
namespace {

using nlohmann::json;

// Builds the document while it is parsed, so that a refusal ends the parse at once. nlohmann's SAX
// parser keeps its own stack on the heap: depth costs no stack here.
class BoundedBuilder final : public nlohmann::json_sax<json> {
 public:
  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return refuse("binary data, wanted JSON text"); }
  bool start_object(size_t) override { return open(json::object()); }
  bool start_array(size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    key_ = std::move(name);
    if (!stack_.back()->contains(key_)) return true;
    return refuse(fmt::format("the key '{}' twice in one object", printable(key_)));
  }

  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    return refuse(fmt::format("invalid JSON at byte {}", position));
  }

  json take() { return std::move(root_); }
  const std::string& refusal() const { return refusal_; }

 private:
  bool refuse(std::string why) {
    refusal_ = std::move(why);
    return false;
  }

  json* place(json&& value) {
    if (stack_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    json& parent = *stack_.back();
    if (parent.is_object()) return &(parent[key_] = std::move(value));
    parent.push_back(std::move(value));
    return &parent.back();
  }

  bool add(json&& value) {
    place(std::move(value));
    return true;
  }

  bool open(json&& container) {
    if (static_cast<int>(stack_.size()) == kJsonDepthMax) {
      return refuse(fmt::format("more than {} levels of nesting", kJsonDepthMax));
    }
    stack_.push_back(place(std::move(container)));
    return true;
  }

  bool close() {
    stack_.pop_back();
    return true;
  }

  json root_;
  std::vector<json*> stack_;  // open containers; a parent does not grow while its child is open
  std::string key_;
  std::string refusal_;
};

}  // namespace

Result<json> parse_json(std::string_view text, std::string_view what) {
  BoundedBuilder builder;
  if (!json::sax_parse(text.begin(), text.end(), &builder)) {
    return Error{ErrorCode::kBadFile, fmt::format("{} holds {}", what, builder.refusal())};
  }
  return builder.take();
}

std::string shown(const json& value) {
  return printable(value.dump(-1, ' ', true, json::error_handler_t::replace), 80);
}

}  // namespace hadal::checkpoint
