#include "server/chat_messages.h"

#include "hadal/base/log.h"

namespace hadal {
namespace {

Result<ChatRole> parse_role(const JsonFields& message) {
  HADAL_ASSIGN_OR_RETURN(const auto role, message.string("role"));
  if (!role) return message.error("role", fmt::format("{} is missing", message.path_of("role")));
  if (*role == "system" || *role == "developer") return ChatRole::kSystem;
  if (*role == "user") return ChatRole::kUser;
  if (*role == "assistant") return ChatRole::kAssistant;
  if (*role == "tool") return ChatRole::kTool;
  return message.error(
      "role", fmt::format("{} must be system, developer, user, assistant or tool, got '{}'",
                          message.path_of("role"), printable(*role)));
}

Result<std::string> parse_part(const Json& part, const std::string& path) {
  const auto refuse = [&](std::string message, ErrorCode code = ErrorCode::kInvalidArgument) {
    return Error{code, std::move(message), path};
  };
  if (!part.is_object()) {
    return refuse(fmt::format("{} must be an object, got {}", path, kind_of(part)));
  }
  const JsonFields fields(part, path);
  HADAL_ASSIGN_OR_RETURN(const auto type, fields.string("type"));
  if (!type) return refuse(fmt::format("{}.type is missing", path));
  if (*type != "text") {
    return refuse(
        fmt::format("{} has type '{}'; this model reads text only", path, printable(*type)),
        ErrorCode::kUnsupported);
  }
  HADAL_ASSIGN_OR_RETURN(auto text, fields.string("text"));
  if (!text) return refuse(fmt::format("{}.text is missing", path));
  return std::move(*text);
}

Result<std::string> parse_content(const JsonFields& message, ChatRole role) {
  const std::string path = message.path_of("content");
  const Json* content = message.find("content");
  if (content == nullptr) {
    // An assistant that only called tools has no content.
    if (role == ChatRole::kAssistant) return std::string();
    return message.error("content", fmt::format("{} is missing", path));
  }
  if (content->is_string()) return content->get<std::string>();
  if (!content->is_array()) {
    return message.error("content", fmt::format("{} must be a string or an array of parts, got {}",
                                                path, kind_of(*content)));
  }
  std::string joined;
  for (size_t i = 0; i < content->size(); ++i) {
    HADAL_ASSIGN_OR_RETURN(const auto text,
                           parse_part((*content)[i], fmt::format("{}[{}]", path, i)));
    joined += text;
  }
  return joined;
}

Result<ToolCall> parse_tool_call(const Json& call, const std::string& path) {
  const auto refuse = [&](std::string message) {
    return Error{ErrorCode::kInvalidArgument, std::move(message), path};
  };
  const Json* function = call.is_object() ? JsonFields(call, path).find("function") : nullptr;
  if (function == nullptr || !function->is_object()) {
    return refuse(fmt::format("{} must be an object with a function", path));
  }
  const JsonFields fields(*function, path + ".function");
  HADAL_ASSIGN_OR_RETURN(auto name, fields.string("name"));
  HADAL_ASSIGN_OR_RETURN(auto arguments, fields.string("arguments"));
  if (!name) return fields.error("name", fmt::format("{} is missing", fields.path_of("name")));
  return ToolCall{.name = std::move(*name), .arguments = std::move(arguments).value_or("{}")};
}

Status parse_tool_calls(const JsonFields& message, ChatMessage& out) {
  const Json* calls = message.find("tool_calls");
  if (calls == nullptr) return {};
  const std::string path = message.path_of("tool_calls");
  if (!calls->is_array()) {
    return message.error("tool_calls",
                         fmt::format("{} must be an array, got {}", path, kind_of(*calls)));
  }
  if (!calls->empty() && out.role != ChatRole::kAssistant) {
    return message.error("tool_calls", fmt::format("{} belongs to an assistant's message", path));
  }
  for (size_t i = 0; i < calls->size(); ++i) {
    HADAL_ASSIGN_OR_RETURN(auto call, parse_tool_call((*calls)[i], fmt::format("{}[{}]", path, i)));
    out.tool_calls.push_back(std::move(call));
  }
  return {};
}

Result<ChatMessage> parse_message(const Json& element, const std::string& path) {
  if (!element.is_object()) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("{} must be an object, got {}", path, kind_of(element)), path};
  }
  const JsonFields fields(element, path);
  ChatMessage message;
  HADAL_ASSIGN_OR_RETURN(message.role, parse_role(fields));
  HADAL_ASSIGN_OR_RETURN(message.content, parse_content(fields, message.role));
  HADAL_RETURN_IF_ERROR(parse_tool_calls(fields, message));
  return message;
}

}  // namespace

Result<std::vector<ChatMessage>> parse_chat_messages(const Json* messages) {
  const auto refuse = [](std::string message) {
    return Error{ErrorCode::kInvalidArgument, std::move(message), "messages"};
  };
  if (messages == nullptr) return refuse("messages is missing");
  if (!messages->is_array()) {
    return refuse(fmt::format("messages must be an array, got {}", kind_of(*messages)));
  }
  if (messages->empty()) return refuse("messages must not be empty");
  std::vector<ChatMessage> parsed;
  parsed.reserve(messages->size());
  for (size_t i = 0; i < messages->size(); ++i) {
    HADAL_ASSIGN_OR_RETURN(auto message,
                           parse_message((*messages)[i], fmt::format("messages[{}]", i)));
    parsed.push_back(std::move(message));
  }
  return parsed;
}

}  // namespace hadal
