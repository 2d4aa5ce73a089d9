"""The types of parts and how each is built. Knows nothing of materials, words or pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from clipsearch.demo.parts import fasteners, fittings, hardware, pins_and_washers, structure, transmission
from clipsearch.demo.parts.built import Builder, Built, Facts
from clipsearch.demo.render.sdf import Shape, rotate

__all__ = ["TYPES", "Builder", "Built", "Facts", "PartType"]

Pose = Literal["stand", "lie", "flat"]


@dataclass(frozen=True, slots=True)
class PartType:
    """A builder, and how the part rests: standing on its axis, lying on its side, or flat on its back."""

    build: Builder
    pose: Pose

    def placed(self, shape: Shape) -> Shape:
        """The shape as it rests on the table."""
        return shape if self.pose == "stand" else rotate(shape, "x", 90)


TYPES: Mapping[str, PartType] = {
    "hex bolt": PartType(fasteners.hex_bolt, "lie"),
    "socket head cap screw": PartType(fasteners.socket_cap_screw, "lie"),
    "countersunk slotted screw": PartType(fasteners.countersunk("slotted"), "lie"),
    "countersunk phillips screw": PartType(fasteners.countersunk("phillips"), "lie"),
    "countersunk torx screw": PartType(fasteners.countersunk("torx"), "lie"),
    "pan head phillips screw": PartType(fasteners.pan_head("phillips"), "lie"),
    "pan head torx screw": PartType(fasteners.pan_head("torx"), "lie"),
    "pan head slotted screw": PartType(fasteners.pan_head("slotted"), "lie"),
    "button head screw": PartType(fasteners.button_head, "lie"),
    "carriage bolt": PartType(fasteners.carriage_bolt, "lie"),
    "eye bolt": PartType(fasteners.eye_bolt, "lie"),
    "set screw": PartType(fasteners.set_screw, "lie"),
    "wing screw": PartType(fasteners.wing_screw, "lie"),
    "hex nut": PartType(fasteners.hex_nut, "stand"),
    "square nut": PartType(fasteners.square_nut, "stand"),
    "wing nut": PartType(fasteners.wing_nut, "stand"),
    "acorn nut": PartType(fasteners.acorn_nut, "stand"),
    "flange nut": PartType(fasteners.flange_nut, "stand"),
    "coupling nut": PartType(fasteners.coupling_nut, "lie"),
    "flat washer": PartType(pins_and_washers.flat_washer, "stand"),
    "fender washer": PartType(pins_and_washers.fender, "stand"),
    "split washer": PartType(pins_and_washers.split_washer, "stand"),
    "tooth washer": PartType(pins_and_washers.tooth_washer, "stand"),
    "dowel pin": PartType(pins_and_washers.dowel_pin, "lie"),
    "cotter pin": PartType(pins_and_washers.cotter_pin, "flat"),
    "rivet": PartType(pins_and_washers.rivet, "lie"),
    "clevis pin": PartType(pins_and_washers.clevis_pin, "lie"),
    "retaining ring": PartType(pins_and_washers.retaining_ring, "stand"),
    "spur gear": PartType(transmission.spur_gear, "stand"),
    "bevel gear": PartType(transmission.bevel_gear, "stand"),
    "sprocket": PartType(transmission.sprocket, "stand"),
    "worm": PartType(transmission.worm, "lie"),
    "rack": PartType(transmission.rack, "stand"),
    "compression spring": PartType(transmission.compression_spring, "lie"),
    "extension spring": PartType(transmission.extension_spring, "lie"),
    "torsion spring": PartType(transmission.torsion_spring, "stand"),
    "ball bearing": PartType(transmission.ball_bearing, "stand"),
    "roller bearing": PartType(transmission.roller_bearing, "stand"),
    "v-belt pulley": PartType(transmission.pulley, "lie"),
    "timing pulley": PartType(transmission.timing_pulley, "stand"),
    "shaft collar": PartType(transmission.shaft_collar, "stand"),
    "shaft coupling": PartType(transmission.shaft_coupling, "lie"),
    "angle bracket": PartType(structure.l_bracket, "stand"),
    "mending plate": PartType(structure.flat_plate, "stand"),
    "u bracket": PartType(structure.u_bracket, "stand"),
    "gusset plate": PartType(structure.gusset, "stand"),
    "z bracket": PartType(structure.z_bracket, "stand"),
    "pipe flange": PartType(fittings.pipe_flange, "stand"),
    "blind flange": PartType(fittings.blind_flange, "stand"),
    "pipe elbow": PartType(fittings.elbow, "flat"),
    "pipe tee": PartType(fittings.tee, "stand"),
    "pipe cross": PartType(fittings.cross, "flat"),
    "pipe reducer": PartType(fittings.reducer, "stand"),
    "pipe plug": PartType(fittings.pipe_plug, "stand"),
    "pipe cap": PartType(fittings.pipe_cap, "stand"),
    "hose barb": PartType(fittings.hose_barb, "lie"),
    "ball valve": PartType(fittings.valve, "stand"),
    "ball knob": PartType(hardware.ball_knob, "stand"),
    "star knob": PartType(hardware.star_knob, "stand"),
    "t handle": PartType(hardware.t_handle, "stand"),
    "hinge": PartType(hardware.hinge, "flat"),
    "pull handle": PartType(hardware.pull_handle, "stand"),
    "wall hook": PartType(hardware.hook, "flat"),
    "s hook": PartType(hardware.s_hook, "flat"),
    "caster": PartType(hardware.caster, "stand"),
    "crank handle": PartType(hardware.crank, "stand"),
    "hand wheel": PartType(hardware.hand_wheel, "stand"),
    "turnbuckle": PartType(hardware.turnbuckle, "flat"),
    "cam": PartType(transmission.cam, "stand"),
    "shackle": PartType(hardware.shackle, "flat"),
    "chain": PartType(hardware.chain_link, "stand"),
}
