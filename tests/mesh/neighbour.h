/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_MESH_NEIGHBOUR_H
#define TESTS_MESH_NEIGHBOUR_H

#include "ratmand/mesh.h"

/* For a router beside the one under test: it keeps nothing, and nobody is its contact. */
extern const struct mesh_ops neighbour_ops;

#endif
