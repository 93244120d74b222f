// SPDX-License-Identifier: Apache-2.0
//! The manager's commands about what a zone is built of.

use outgate_model::id::{ClusterId, HostId, PodId, PublicIpRangeId, ZoneId};

use super::{cluster, host, notes, physical, pod, provider, range, setting, traffic, zone};
use crate::command::methods::commands;
use crate::command::request::{
    AddCluster, AddProvider, AddTrafficType, AlertsChosen, Caller, ConfigureElement, CreatePhysicalNetwork,
    CreatePod, CreateRange, CreateZone, DedicateRange, DeleteCluster, DeletePhysicalNetwork, DeletePod,
    DeleteProvider, DeleteTrafficType, DeleteZone, EventsChosen, GenerateAlert, MaintainHost, RangeId,
    Started, UpdateCluster, UpdateHost, UpdatePhysicalNetwork, UpdatePod, UpdateProvider, UpdateRange,
    UpdateSetting, UpdateTrafficType, UpdateZone,
};
use crate::command::tx::Tx;
use crate::{CommandError, Manager};

commands! {
    /// Makes a zone.
    create_zone(CreateZone) -> ZoneId = zone::create;
    /// Changes a zone.
    update_zone(UpdateZone) -> ZoneId = zone::update;
    /// Deletes a zone that nothing is left of.
    delete_zone(DeleteZone) -> () = |tx, request| zone::delete(tx, *request);
    /// Makes a pod.
    create_pod(CreatePod) -> PodId = pod::create;
    /// Changes a pod.
    update_pod(UpdatePod) -> PodId = pod::update;
    /// Deletes a pod without clusters.
    delete_pod(DeletePod) -> () = |tx, request| pod::delete(tx, *request);
    /// Adds a cluster.
    add_cluster(AddCluster) -> ClusterId = cluster::add;
    /// Changes a cluster.
    update_cluster(UpdateCluster) -> ClusterId = cluster::update;
    /// Deletes a cluster without hosts.
    delete_cluster(DeleteCluster) -> () = |tx, request| cluster::delete(tx, *request);
    /// Lets a host take something new, or not.
    update_host(UpdateHost) -> HostId = |tx, request| host::update(tx, *request);
    /// Puts a host on which nothing runs into maintenance.
    prepare_host(MaintainHost) -> Started = |tx, request| host::prepare(tx, *request);
    /// Ends a host's maintenance.
    cancel_host_maintenance(MaintainHost) -> Started = |tx, request| host::cancel(tx, *request);
    /// Makes a physical network.
    create_physical_network(CreatePhysicalNetwork) -> Started = physical::create;
    /// Changes a physical network.
    update_physical_network(UpdatePhysicalNetwork) -> Started = physical::update;
    /// Deletes a physical network that nothing uses.
    delete_physical_network(DeletePhysicalNetwork) -> Started = |tx, request| physical::delete(tx, *request);
    /// Lets a physical network carry a kind of traffic.
    add_traffic_type(AddTrafficType) -> Started = traffic::add;
    /// Changes the labels of a traffic type.
    update_traffic_type(UpdateTrafficType) -> Started = traffic::update;
    /// Takes a kind of traffic from a physical network.
    delete_traffic_type(DeleteTrafficType) -> Started = |tx, request| traffic::delete(tx, *request);
    /// Adds public addresses to a zone.
    create_range(CreateRange) -> PublicIpRangeId = range::create;
    /// Changes a range of public addresses.
    update_range(UpdateRange) -> PublicIpRangeId = range::update;
    /// Removes a range of public addresses that nobody has.
    delete_range(RangeId) -> () = |tx, request| range::delete(tx, *request);
    /// Keeps a range of public addresses for somebody.
    dedicate_range(DedicateRange) -> PublicIpRangeId = |tx, request| range::dedicate(tx, *request);
    /// Lets everybody have a range's addresses.
    release_range(RangeId) -> () = |tx, request| range::release(tx, *request);
    /// Changes a setting, or takes its value back.
    update_setting(UpdateSetting) -> () = setting::change;
    /// Says something that administrators should look at.
    generate_alert(GenerateAlert) -> Started = notes::generate;
    /// Puts alerts away.
    archive_alerts(AlertsChosen) -> () = notes::archive_alerts;
    /// Deletes alerts.
    delete_alerts(AlertsChosen) -> () = notes::delete_alerts;
    /// Puts events away.
    archive_events(EventsChosen) -> () = notes::archive_events;
    /// Deletes events.
    delete_events(EventsChosen) -> () = notes::delete_events;
    /// Adds a provider to a physical network.
    add_provider(AddProvider) -> Started = provider::add;
    /// Enables or disables a provider.
    update_provider(UpdateProvider) -> Started = |tx, request| provider::update(tx, *request);
    /// Removes a provider.
    delete_provider(DeleteProvider) -> Started = |tx, request| provider::delete(tx, *request);
    /// Switches a provider's element on or off.
    configure_element(ConfigureElement) -> Started = |tx, request| provider::configure(tx, *request);
    /// Says which element a provider has.
    create_element(ConfigureElement) -> Started = |tx, request| provider::create_element(tx, *request);
}
