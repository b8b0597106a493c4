// The `messages` of a chat request.
#pragma once

#include <vector>

#include "hadal/base/status.h"
#include "hadal/text/chat_format.h"
#include "server/json.h"

namespace hadal {

// `messages` is the field's value, nullptr when it is missing. Content is a string, a list of text
// parts (joined), or null in an assistant's message. Errors name the element: messages[3].content.
Result<std::vector<ChatMessage>> parse_chat_messages(const Json* messages);

}  // namespace hadal
