#include "proto/wire/message.h"
