#include "resolver/api/api_refusal.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "resolver/api/api_reply.h"

#define HELD_MAX (sizeof((struct api_refusal *)0)->held / sizeof(int))
