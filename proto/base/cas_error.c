#include "proto/base/cas.h"
