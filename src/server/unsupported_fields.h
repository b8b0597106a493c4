// Fields that clients of this API know and this server does not offer.
#pragma once

#include "hadal/base/status.h"
#include "server/json.h"

namespace hadal {

// kUnsupported, naming the field, if one of them is set to something that would change the answer.
// The value that means "off" is accepted; so are fields without an influence on it (user, metadata
// …), which are not in the table.
Status refuse_unsupported_fields(bool is_chat, const JsonFields& fields);

}  // namespace hadal
