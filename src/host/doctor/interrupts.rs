//! Interrupts: the CPUs of the network devices' interrupts, and whether irqbalance moves them.

use super::cpu_list::parse_list;
use super::files::{Fact, Files, Unknown};

/// One interrupt of a network device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interrupt {
    /// The number of the interrupt.
    pub number: u32,
    /// The driver's name for it, as `eth0-rx-0`.
    pub name: String,
    /// The CPUs that the interrupt goes to.
    pub cpus: Fact<Vec<usize>>,
}

/// The interrupts of all network devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interrupts {
    /// The interrupts by number.
    pub of_network: Vec<Interrupt>,
    /// Whether irqbalance runs.
    pub balanced: bool,
}

impl Interrupts {
    pub(super) fn read(files: &Files) -> Fact<Interrupts> {
        let table = files.text("/proc/interrupts")?;
        let named: Vec<(u32, String)> = table.lines().filter_map(row).collect();
        let devices = devices(files);
        let of_network = named.into_iter().filter(|(number, name)| {
            devices.iter().any(|device| {
                device.numbers.contains(number) || device.names.iter().any(|known| begins_with(name, known))
            })
        });
        let of_network = of_network.map(|(number, name)| Interrupt { number, name, cpus: affinity(files, number) });
        let interrupts = Interrupts { of_network: of_network.collect(), balanced: is_balanced(files) };
        if interrupts.of_network.is_empty() {
            return Err(Unknown("no network device's interrupts can be seen here".to_owned()));
        }
        Ok(interrupts)
    }
}

/// The number and name of an interrupt: the first and last word of its line. Interrupts of the CPU itself have no number.
fn row(line: &str) -> Option<(u32, String)> {
    let (number, rest) = line.trim_start().split_once(':')?;
    Some((number.parse().ok()?, rest.split_ascii_whitespace().next_back()?.to_owned()))
}

/// The ways to recognise a network device's interrupts.
struct Device {
    /// The names of the interface and of its device on the bus, as `virtio2`.
    names: Vec<String>,
    /// The interrupt numbers that the bus lists.
    numbers: Vec<u32>,
}

fn devices(files: &Files) -> Vec<Device> {
    let mut devices = Vec::new();
    for interface in files.names("/sys/class/net") {
        let dir = format!("/sys/class/net/{interface}/device");
        // An interface without a device, such as loopback, has no interrupts.
        let Ok(device) = files.path(&dir).canonicalize() else { continue };
        let on_bus = device.file_name().map(|name| name.to_string_lossy().into_owned());
        let numbers = ["msi_irqs", "../msi_irqs"].iter().flat_map(|list| files.names(&format!("{dir}/{list}")));
        let numbers = numbers.filter_map(|number| number.parse().ok()).collect();
        devices.push(Device { names: std::iter::once(interface).chain(on_bus).collect(), numbers });
    }
    devices
}

/// Whether an interrupt's name begins with a device's name as a whole word: `eth1` is not `eth10`.
fn begins_with(name: &str, device: &str) -> bool {
    name.strip_prefix(device).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric()))
}

fn affinity(files: &Files, number: u32) -> Fact<Vec<usize>> {
    // The effective CPUs, or the allowed ones if the kernel does not report those.
    let effective = files.parsed(&format!("/proc/irq/{number}/effective_affinity_list"), parse_list);
    match effective {
        Ok(cpus) if !cpus.is_empty() => Ok(cpus),
        _ => files.parsed(&format!("/proc/irq/{number}/smp_affinity_list"), parse_list),
    }
}

/// Whether irqbalance runs. Only processes of our own namespace are visible, so false is not certain.
fn is_balanced(files: &Files) -> bool {
    let processes = files.names("/proc").into_iter().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    let mut names = processes.map(|pid| files.text(&format!("/proc/{pid}/comm")));
    names.any(|name| name.is_ok_and(|name| name == "irqbalance"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_proc_interrupts_are_read() {
        let line = " 38:          0       4714 PCI-MSIX-0000:00:03.0   1-edge      virtio2-input.0";
        assert_eq!(row(line), Some((38, "virtio2-input.0".to_owned())));
        assert_eq!(row("LOC:    2879272    2820696   Local timer interrupts"), None);
        assert_eq!(row("           CPU0       CPU1       "), None);
        assert_eq!(row(""), None);
    }

    #[test]
    fn a_name_belongs_to_one_device() {
        for (name, device, belongs) in [
            ("eth0", "eth0", true),
            ("eth0-rx-0", "eth0", true),
            ("virtio2-input.0", "virtio2", true),
            ("virtio22-input.0", "virtio2", false),
            ("eth10-tx-1", "eth1", false),
            ("i40e-eth0-TxRx-0", "eth0", false),
        ] {
            assert_eq!(begins_with(name, device), belongs, "{name} {device}");
        }
    }
}
